// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parameters of the module, for tests that run alone.

use std::{fmt::Display, fs};

/// A parameter of the module with another value until this is dropped.
#[derive(Debug)]
pub struct Parameter {
    path: String,
    before: String,
}

impl Parameter {
    /// Gives the parameter `name` a value.
    pub fn set(name: &str, value: impl Display + Copy) -> Self {
        let path = format!("/sys/module/lunatik/parameters/{name}");
        let before = fs::read_to_string(&path).expect("a parameter");
        let parameter = Self { path, before };
        parameter.change(value);
        parameter
    }

    /// Gives it another value.
    pub fn change(&self, value: impl Display + Copy) {
        fs::write(&self.path, value.to_string()).expect("root may set it");
    }
}

impl Drop for Parameter {
    fn drop(&mut self) {
        fs::write(&self.path, self.before.trim()).expect("root may set it");
    }
}
