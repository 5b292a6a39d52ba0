// SPDX-License-Identifier: MIT OR Apache-2.0
//! Expressions of a type that is wanted.

use super::{call, grammar::Program, hostile};

/// What an expression is meant to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    String,
    Table,
    Function,
    Any,
}

pub(super) const KINDS: [Kind; 6] = [
    Kind::Integer,
    Kind::Integer,
    Kind::String,
    Kind::Table,
    Kind::Function,
    Kind::Any,
];

impl Program<'_> {
    /// A key that is neither nil nor anything that could be.
    pub(super) fn key(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("'k{}'", self.random.below(5)),
            1 => "true".to_owned(),
            2 => hostile::integer(self.random),
            _ => self.random.below(10).to_string(),
        }
    }

    /// Several expressions.
    pub(super) fn expressions(&mut self, depth: usize, most: usize) -> String {
        let count = self.random.within(1, most);
        let mut all = Vec::new();
        for _ in 0..count {
            let kind = self.random.choose(&KINDS);
            all.push(self.expression(kind, depth));
        }
        all.join(", ")
    }

    pub(super) fn truth(&mut self, depth: usize) -> String {
        match self.random.below(5) {
            0 => {
                let a = self.expression(Kind::Integer, depth + 1);
                let b = self.expression(Kind::Integer, depth + 1);
                let operator = self.random.pick(&["<", "<=", ">", ">=", "==", "~="]);
                format!("{a} {operator} {b}")
            }
            1 => {
                let a = self.expression(Kind::Any, depth + 1);
                format!("not {a}")
            }
            2 => "true".to_owned(),
            3 => {
                let a = self.expression(Kind::Any, depth + 1);
                let b = self.expression(Kind::Any, depth + 1);
                format!("{a} == {b}")
            }
            _ => self.expression(Kind::Any, depth + 1),
        }
    }

    pub(super) fn expression(&mut self, kind: Kind, depth: usize) -> String {
        if self.random.chance(35)
            && let Some(name) = self.variable(kind, false)
        {
            return name;
        }
        // Rarely of another type than it should be.
        let kind = if self.random.chance(2) {
            self.random.choose(&KINDS)
        } else {
            kind
        };
        match kind {
            Kind::Integer => self.integer(depth),
            Kind::String => self.string(depth),
            Kind::Table => self.table(depth),
            Kind::Function => hostile::function(self.random),
            Kind::Any => match self.random.below(5) {
                0 => {
                    let call = call::protected(self.random, self.functions, self.vararg);
                    format!("({call})")
                }
                _ => call::any(self.random, self.vararg),
            },
        }
    }

    fn integer(&mut self, depth: usize) -> String {
        if depth > 6 || self.random.chance(45) {
            return match self.random.below(3) {
                0 => hostile::integer(self.random),
                _ => self.random.below(100).to_string(),
            };
        }
        let a = self.expression(Kind::Integer, depth + 2);
        match self.random.below(9) {
            0 => {
                let table = self.expression(Kind::Table, depth + 2);
                format!("#({table})")
            }
            1 => {
                let text = self.expression(Kind::String, depth + 2);
                format!("#({text})")
            }
            2 => format!("-({a})"),
            3 => format!("~({a})"),
            4 => {
                let operator = self.random.pick(&["//", "%"]);
                format!("({a}) {operator} {}", self.random.within(1, 9))
            }
            _ => {
                let b = self.expression(Kind::Integer, depth + 2);
                let operator = self.random.pick(&[
                    "+", "-", "*", "&", "|", "~", "<<", ">>", "+", "-", "//", "%",
                ]);
                format!("(({a}) {operator} ({b}))")
            }
        }
    }

    fn string(&mut self, depth: usize) -> String {
        if depth > 6 || self.random.chance(50) {
            return hostile::string(self.random);
        }
        let a = self.expression(Kind::String, depth + 2);
        match self.random.below(6) {
            0 => {
                let b = self.expression(Kind::Integer, depth + 2);
                format!("({a}) .. ({b})")
            }
            1 => format!("string.upper({a})"),
            2 => format!(
                "string.sub({a}, {}, {})",
                self.random.below(5),
                self.random.below(9)
            ),
            3 => format!("string.format('%q', {a})"),
            4 => {
                let any = self.expression(Kind::Any, depth + 2);
                format!("type({any})")
            }
            _ => {
                let b = self.expression(Kind::String, depth + 2);
                format!("({a}) .. ({b})")
            }
        }
    }

    fn table(&mut self, depth: usize) -> String {
        if depth > 6 || self.random.chance(50) {
            return hostile::table(self.random);
        }
        let values = self.expressions(depth + 2, 3);
        match self.random.below(4) {
            0 => format!("table.pack({values})"),
            1 => {
                let key = self.key();
                let value = self.expression(Kind::Any, depth + 2);
                format!("{{{values}, [{key}] = {value}}}")
            }
            2 => format!("setmetatable({{{values}}}, {{__index = string}})"),
            _ => format!("{{{values}}}"),
        }
    }
}
