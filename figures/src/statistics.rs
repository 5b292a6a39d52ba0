// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is told of samples.

use serde::{Deserialize, Serialize};

/// What is told of samples: figures that what disturbs a few of them does not move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The middle one, or the middle of the two in the middle.
    pub median: f64,
    /// How far the first quartile is from the third, in medians.
    pub spread: f64,
}

impl Summary {
    /// Of no samples there is none.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 2)?;
        let range = quantile(&sorted, 3)? - quantile(&sorted, 1)?;
        let spread = if range == 0.0 { 0.0 } else { range / median };
        Some(Self { median, spread })
    }
}

/// The value below which `quarters` of the sorted samples lie, between two of them by their distance.
fn quantile(sorted: &[f64], quarters: usize) -> Option<f64> {
    let steps = sorted.len().checked_sub(1)? * quarters;
    let low = *sorted.get(steps / 4)?;
    // The last sample has none after it, and needs none.
    let high = *sorted.get(steps / 4 + 1).unwrap_or(&low);
    let part = [0.0, 0.25, 0.5, 0.75][steps % 4];
    Some(low + (high - low) * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn median_is_the_middle() {
        let median = |samples: &[f64]| Summary::of(samples).unwrap().median;
        assert!(close(median(&[900.0, 1.0, 3.0]), 3.0));
        assert!(close(median(&[4.0, 1.0, 3.0, 900.0]), 3.5));
        assert!(close(median(&[7.0]), 7.0));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn spread_is_between_the_quartiles() {
        let spread = |samples: &[f64]| Summary::of(samples).unwrap().spread;
        // The quartiles are 90 and 110, whatever the outer two are.
        assert!(close(spread(&[1e9, 90.0, 100.0, 110.0, 0.0]), 0.2));
        // They are 17.5 and 32.5, and the median is 25.
        assert!(close(spread(&[10.0, 20.0, 30.0, 40.0]), 0.6));
        assert!(close(spread(&[5.0]), 0.0));
        assert!(close(spread(&[0.0, 0.0]), 0.0));
    }
}
