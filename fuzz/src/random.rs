// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random numbers that a seed and an index determine, on every machine.

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// The random numbers of one case.
///
/// How a number becomes one of a range is written here, so that no other version
/// of a crate can make other cases of the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(Pcg64Mcg);

impl Random {
    /// Those of the case `index`.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&scramble(seed).to_le_bytes());
        key[8..].copy_from_slice(&scramble(seed ^ scramble(!index)).to_le_bytes());
        Self(Pcg64Mcg::from_seed(key))
    }

    /// Any number.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Less than `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let wide = u128::from(self.bits()) * limit as u128;
        usize::try_from(wide >> 64).expect("less than a usize")
    }

    /// From `least` to `most`.
    pub(crate) fn within(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// True once in `many` times.
    pub(crate) fn rarely(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// One of them; what is there twice comes twice as often.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// One of them.
    pub(crate) fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// The finalizer of splitmix64: neighbours become strangers.
fn scramble(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_for_ever() {
        let mut random = Random::new(1, 2);
        let numbers: Vec<usize> = (0..8).map(|_| random.below(1000)).collect();
        assert_eq!(numbers, NUMBERS);
    }

    const NUMBERS: [usize; 8] = [103, 632, 408, 703, 992, 116, 880, 468];

    #[test]
    fn neighbours_differ() {
        let first = |seed, index| Random::new(seed, index).bits();
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
        assert_eq!(first(7, 8), first(7, 8));
    }

    #[test]
    fn ranges_hold() {
        let mut random = Random::new(3, 0);
        for _ in 0..1000 {
            assert!((2..=4).contains(&random.within(2, 4)));
            assert!(!random.chance(0));
            assert!(random.chance(100));
        }
    }
}
