// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs grown from a grammar, with types in mind: most of them compile, and a
//! good part runs to its end.

use std::fmt::Write as _;

use super::{
    call,
    expression::{KINDS, Kind},
    hostile,
};
use crate::random::Random;

#[derive(Debug, Clone)]
struct Local {
    name: String,
    kind: Kind,
    writable: bool,
}

/// A program in the making.
pub(super) struct Program<'a> {
    pub(super) random: &'a mut Random,
    pub(super) functions: &'a [String],
    out: String,
    locals: Vec<Local>,
    /// How many names were given.
    names: usize,
    /// Statements that may still come.
    budget: usize,
    indent: usize,
    /// Loops of the function around.
    loops: usize,
    /// Whether `...` may be used.
    pub(super) vararg: bool,
}

/// The program that `random` makes; `functions` are the libraries', such as
/// `string.rep`.
pub(super) fn program(random: &mut Random, functions: &[String]) -> String {
    let budget = random.within(3, 40);
    let mut program = Program {
        random,
        functions,
        out: String::new(),
        locals: Vec::new(),
        names: 0,
        budget,
        indent: 0,
        loops: 0,
        vararg: true,
    };
    while program.budget > 0 {
        program.statement(0);
    }
    if program.random.chance(80) {
        let values = program.expressions(0, 4);
        program.line(&format!("return {values}"));
    }
    program.out
}

impl Program<'_> {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{:1$}{text}", "", 2 * self.indent);
    }

    fn fresh(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn declare(&mut self, name: &str, kind: Kind, writable: bool) {
        self.locals.push(Local {
            name: name.to_owned(),
            kind,
            writable,
        });
    }

    /// A variable in scope.
    pub(super) fn variable(&mut self, kind: Kind, writable: bool) -> Option<String> {
        let fits = |local: &&Local| {
            (kind == Kind::Any || local.kind == kind) && (local.writable || !writable)
        };
        let fitting: Vec<&Local> = self.locals.iter().filter(fits).collect();
        if fitting.is_empty() {
            return None;
        }
        Some(fitting[self.random.below(fitting.len())].name.clone())
    }

    /// Lines between `head` and `tail`.
    fn block(&mut self, depth: usize, head: &str, tail: &str) {
        self.line(head);
        self.indent += 1;
        let scope = self.locals.len();
        self.statements(depth + 1);
        self.locals.truncate(scope);
        self.indent -= 1;
        self.line(tail);
    }

    fn statements(&mut self, depth: usize) {
        let most = if depth > 4 { 1 } else { 4 };
        for _ in 0..self.random.within(1, most) {
            if self.budget == 0 {
                return;
            }
            self.statement(depth);
        }
    }

    fn statement(&mut self, depth: usize) {
        self.budget = self.budget.saturating_sub(1);
        // What is deep is flat.
        let limit = if depth > 5 { 44 } else { 100 };
        match self.random.below(limit) {
            0..=15 => self.local(depth),
            16..=25 => self.assignment(depth),
            26..=37 => {
                let call = call::protected(self.random, self.functions, self.vararg);
                self.line(&call);
            }
            38..=39 => {
                let call = call::bare(self.random, self.functions, self.vararg);
                self.line(&call);
            }
            40..=41 => self.goto(),
            42 => self.global(),
            43 => self.corruption(),
            44..=51 => self.condition(depth),
            52..=57 => self.numeric_for(depth),
            58..=62 => self.generic_for(depth),
            63..=66 => self.while_loop(depth),
            67..=69 => self.repeat(depth),
            70..=77 => self.function(depth),
            78..=83 => self.metatable(depth),
            84..=88 => self.coroutine(depth),
            89..=93 => self.protected(depth),
            94..=96 => self.closing(depth),
            97 => {
                let handler = hostile::function(self.random);
                let name = self.fresh();
                self.line(&format!("local {name} = {handler}"));
                self.declare(&name, Kind::Function, true);
                let call = format!("xpcall(error, function(e) return {name}(e) end, {{}})");
                self.line(&call);
            }
            98 => self.runaway(),
            _ => {
                self.block(depth, "do", "end");
            }
        }
    }

    fn local(&mut self, depth: usize) {
        let kind = self.random.choose(&KINDS);
        let value = self.expression(kind, depth);
        let name = self.fresh();
        let constant = self.random.chance(10);
        let attribute = if constant { " <const>" } else { "" };
        self.line(&format!("local {name}{attribute} = {value}"));
        self.declare(&name, kind, !constant);
    }

    fn assignment(&mut self, depth: usize) {
        let kind = self.random.choose(&KINDS);
        let value = self.expression(kind, depth);
        let target = match self.random.below(6) {
            0 => format!("g{}", self.random.below(6)),
            1..=2 => match self.variable(Kind::Table, false) {
                Some(table) => {
                    let key = self.key();
                    format!("{table}[{key}]")
                }
                None => "g0".to_owned(),
            },
            _ => self.variable(kind, true).unwrap_or_else(|| "g1".to_owned()),
        };
        if self.random.chance(10) {
            let other = self.variable(Kind::Any, true);
            let other = other.unwrap_or_else(|| "g2".to_owned());
            self.line(&format!("{target}, {other} = {value}, {target}"));
        } else {
            self.line(&format!("{target} = {value}"));
        }
    }

    fn condition(&mut self, depth: usize) {
        let condition = self.truth(depth);
        self.line(&format!("if {condition} then"));
        self.part(depth);
        if self.random.chance(30) {
            let condition = self.truth(depth);
            self.line(&format!("elseif {condition} then"));
            self.part(depth);
        }
        if self.random.chance(50) {
            self.line("else");
            self.part(depth);
        }
        self.line("end");
    }

    /// The lines of a branch.
    fn part(&mut self, depth: usize) {
        self.indent += 1;
        let scope = self.locals.len();
        self.statements(depth + 1);
        if self.loops > 0 && self.random.chance(15) {
            self.line("break");
        } else if self.random.chance(6) {
            let values = self.expressions(depth, 2);
            self.line(&format!("return {values}"));
        }
        self.locals.truncate(scope);
        self.indent -= 1;
    }

    /// How often a loop may go round: in one within others, not often.
    fn rounds(&mut self) -> usize {
        let most = [20, 6, 3];
        let most = most[self.loops.min(most.len() - 1)];
        self.random.within(1, most)
    }

    fn looped(&mut self, depth: usize, head: &str, tail: &str) {
        self.loops += 1;
        self.block(depth, head, tail);
        self.loops -= 1;
    }

    fn numeric_for(&mut self, depth: usize) {
        let name = self.fresh();
        let range = match self.random.below(12) {
            0 => "math.maxinteger - 3, math.maxinteger".to_owned(),
            1 => "math.mininteger, math.mininteger + 3".to_owned(),
            2 => "3, 1, -1".to_owned(),
            3 => "math.mininteger, math.maxinteger, 1 << 62".to_owned(),
            4 => "1, 0".to_owned(),
            5 => {
                let step = hostile::integer(self.random);
                format!("1, 10, {step}")
            }
            _ => format!("1, {}", self.rounds()),
        };
        let scope = self.locals.len();
        self.declare(&name, Kind::Integer, false);
        self.looped(depth, &format!("for {name} = {range} do"), "end");
        self.locals.truncate(scope);
    }

    fn generic_for(&mut self, depth: usize) {
        let (a, b) = (self.fresh(), self.fresh());
        let (source, kinds) = match self.random.below(8) {
            0..=1 => {
                let table = self.expression(Kind::Table, depth);
                (format!("pairs({table})"), (Kind::Any, Kind::Any))
            }
            2..=3 => {
                let table = self.expression(Kind::Table, depth);
                (format!("ipairs({table})"), (Kind::Integer, Kind::Any))
            }
            4 => {
                let (text, pattern) = (hostile::string(self.random), hostile::pattern(self.random));
                (
                    format!("string.gmatch({text}, {pattern})"),
                    (Kind::Any, Kind::Any),
                )
            }
            5 => (
                "utf8.codes('h\\u{e9}llo')".to_owned(),
                (Kind::Integer, Kind::Integer),
            ),
            6 => (
                "coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i, {}) end end)"
                    .to_owned(),
                (Kind::Integer, Kind::Table),
            ),
            _ => {
                let closing = "setmetatable({}, {__close = function() end})";
                (
                    format!("next, {{1, 2, x = 3}}, nil, {closing}"),
                    (Kind::Any, Kind::Integer),
                )
            }
        };
        let scope = self.locals.len();
        self.declare(&a, kinds.0, false);
        self.declare(&b, kinds.1, true);
        let counter = self.fresh();
        let most = self.rounds();
        self.line(&format!("local {counter} = 0"));
        self.line(&format!("for {a}, {b} in {source} do"));
        self.indent += 1;
        self.line(&format!(
            "{counter} = {counter} + 1 if {counter} > {most} then break end"
        ));
        self.loops += 1;
        self.statements(depth + 1);
        self.loops -= 1;
        self.indent -= 1;
        self.line("end");
        self.locals.truncate(scope);
    }

    fn while_loop(&mut self, depth: usize) {
        let counter = self.fresh();
        let most = self.rounds();
        let condition = self.truth(depth);
        self.line(&format!("local {counter} = 0"));
        self.line(&format!(
            "while {counter} < {most} and ({condition} or true) do"
        ));
        self.indent += 1;
        self.line(&format!("{counter} = {counter} + 1"));
        let scope = self.locals.len();
        self.loops += 1;
        self.statements(depth + 1);
        self.loops -= 1;
        self.locals.truncate(scope);
        self.indent -= 1;
        self.line("end");
    }

    fn repeat(&mut self, depth: usize) {
        let counter = self.fresh();
        let most = self.rounds();
        self.line(&format!("local {counter} = 0"));
        let tail = format!("{counter} = {counter} + 1 until {counter} >= {most}");
        self.looped(depth, "repeat", &tail);
    }

    fn goto(&mut self) {
        let (label, counter) = (self.fresh(), self.fresh());
        let most = self.random.within(2, 8);
        let value = self.expression(Kind::Any, 3);
        self.line("do");
        self.line(&format!("  local {counter} = 0"));
        self.line(&format!("  ::{label}::"));
        self.line(&format!("  local f = function() return {counter} end"));
        self.line(&format!("  {counter} = {counter} + 1 g3 = {value}"));
        self.line(&format!("  if {counter} < {most} then goto {label} end"));
        self.line("end");
    }

    fn global(&mut self) {
        let lines = [
            "do global<const> * global g4 g4 = 1 end",
            "do global * global g5 = 'x' end",
            "do global<const> * end",
            "do global pcall, g4 g4 = pcall end",
            "do global * global function g6(...) return ... end end",
            "do global g4 <const> end",
            "do global g4 = 1 end",
        ];
        let line = self.random.pick(&lines);
        self.line(line);
    }

    /// What others that run in the same state will have to live with.
    fn corruption(&mut self) {
        if !self.random.rarely(4) {
            let values = self.expressions(3, 2);
            return self.line(&format!("g2 = {{{values}}}"));
        }
        let lines = [
            "getmetatable('').__index = function(s, k) return string[k] end",
            "getmetatable('').__index = nil",
            "getmetatable('').__add = function(a, b) return 1 end",
            "getmetatable('').__call = function(s, ...) return ... end",
            "getmetatable('').__metatable = 'locked'",
            "string.rep = nil",
            "package.loaded.string = nil",
            "package.loaded.lunatik = 'fake'",
            "package.loaded = nil",
            "package.preload.mod = function(...) return ... end",
            "package.preload.mod = error",
            "package.preload = nil",
            "package.preload.lunatik = coroutine.yield",
            "table.unpack = function() end",
            "setmetatable(_G, {__index = function(t, k) return k end})",
            "setmetatable(_G, {__index = error})",
            "setmetatable(_G, {__newindex = function(t, k, v) rawset(t, k, v) end})",
            "_ENV = {pcall = pcall, error = error}",
            "_ENV = setmetatable({}, {__index = _G})",
            "collectgarbage('stop')",
            "collectgarbage('incremental')",
            "collectgarbage('param', 'pause', 0)",
            "collectgarbage('param', 'stepmul', math.maxinteger)",
            "coroutine.running = nil",
            "keep = keep or {} for i = 1, 200 do keep[#keep + 1] = {i} end",
            "keep = nil",
        ];
        let line = self.random.pick(&lines);
        self.line(line);
    }

    fn function(&mut self, depth: usize) {
        let name = self.fresh();
        let (a, b) = (self.fresh(), self.fresh());
        let vararg = self.random.chance(40);
        let parameters = if vararg {
            format!("{a}, {b}, ...")
        } else {
            format!("{a}, {b}")
        };
        let scope = self.locals.len();
        self.declare(&a, Kind::Any, true);
        self.declare(&b, Kind::Any, true);
        let outer = (self.vararg, self.loops);
        (self.vararg, self.loops) = (vararg, 0);
        self.line(&format!("local function {name}({parameters})"));
        self.indent += 1;
        self.statements(depth + 1);
        let value = match self.random.below(20) {
            0..=3 => format!("{a} == nil and {name}(1) or 2"),
            // Without an end.
            4 => format!("{name}({b}, {a})"),
            _ => self.expressions(depth, 3),
        };
        self.line(&format!("return {value}"));
        self.indent -= 1;
        self.line("end");
        (self.vararg, self.loops) = outer;
        self.locals.truncate(scope);
        self.declare(&name, Kind::Function, true);
        if self.random.chance(70) {
            let values = self.expressions(depth, 3);
            let result = self.fresh();
            self.line(&format!(
                "local {result}, {result}b = pcall({name}, {values})"
            ));
            self.declare(&format!("{result}b"), Kind::Any, true);
        }
    }

    fn metatable(&mut self, depth: usize) {
        const EVENTS: &[&str] = &[
            "__index",
            "__newindex",
            "__call",
            "__close",
            "__concat",
            "__eq",
            "__lt",
            "__le",
            "__len",
            "__tostring",
            "__pairs",
            "__add",
            "__sub",
            "__mul",
            "__div",
            "__mod",
            "__pow",
            "__unm",
            "__idiv",
            "__band",
            "__bor",
            "__bxor",
            "__shl",
            "__shr",
            "__bnot",
        ];
        let mut fields = Vec::new();
        for _ in 0..self.random.within(1, 4) {
            let event = self.random.pick(EVENTS);
            let body = match self.random.below(6) {
                0 => {
                    let outer = std::mem::replace(&mut self.vararg, false);
                    let value = self.expression(Kind::Any, depth + 3);
                    self.vararg = outer;
                    format!("function(a, b) return {value} end")
                }
                1 => "function(a, b, c) return coroutine.isyieldable() and coroutine.yield(a) or b end"
                    .to_owned(),
                2 => "function(...) return select('#', ...) end".to_owned(),
                3 => "function(a) return a end".to_owned(),
                4 => hostile::function(self.random),
                _ => "function(a, b) return 1 end".to_owned(),
            };
            fields.push(format!("{event} = {body}"));
        }
        if self.random.chance(15) {
            let mode = self.random.pick(&["k", "v", "kv", "x"]);
            fields.push(format!("__mode = '{mode}'"));
        }
        if self.random.chance(4) {
            fields.push("__gc = function() end".to_owned());
        }
        let name = self.fresh();
        let fields = fields.join(", ");
        self.line(&format!("local {name} = {{1, 2, x = 3}}"));
        self.line(&format!("pcall(setmetatable, {name}, {{{fields}}})"));
        self.declare(&name, Kind::Table, true);
        let uses = [
            format!("{name} + 1"),
            format!("{name} .. 'x'"),
            format!("{name} == {{}}"),
            format!("{name} < {name}"),
            format!("{name} <= 1"),
            format!("#{name}"),
            format!("-{name}"),
            format!("~{name}"),
            format!("{name}()"),
            format!("{name}.y"),
            format!("tostring({name})"),
            format!("{name} // 2"),
            format!("{name} / 2"),
            format!("2 ^ {name}"),
            format!("1 << {name}"),
            format!("next({name})"),
            format!("table.concat({name})"),
            format!("table.unpack({name})"),
            format!("table.sort({name})"),
            format!("('x'):gsub('x', {name})"),
        ];
        for _ in 0..self.random.within(1, 3) {
            let what = &uses[self.random.below(uses.len())];
            self.line(&format!("pcall(function() return {what} end)"));
        }
    }

    fn coroutine(&mut self, depth: usize) {
        let name = self.fresh();
        let outer = (self.vararg, self.loops);
        (self.vararg, self.loops) = (true, 0);
        self.line(&format!("local {name} = coroutine.create(function(...)"));
        self.indent += 1;
        let scope = self.locals.len();
        self.statements(depth + 1);
        let values = self.expressions(depth, 2);
        self.line(&format!("local a, b = coroutine.yield({values})"));
        self.statements(depth + 1);
        self.line("return ...");
        self.locals.truncate(scope);
        self.indent -= 1;
        self.line("end)");
        (self.vararg, self.loops) = outer;
        for _ in 0..self.random.within(1, 3) {
            let values = self.expressions(depth, 2);
            self.line(&format!("coroutine.resume({name}, {values})"));
        }
        if self.random.chance(30) {
            self.line(&format!("pcall(coroutine.close, {name})"));
        }
        self.declare(&name, Kind::Any, true);
    }

    fn protected(&mut self, depth: usize) {
        let outer = (self.vararg, self.loops);
        (self.vararg, self.loops) = (false, 0);
        let name = self.fresh();
        let kind = self.random.below(3);
        self.line(&match kind {
            0 => format!("local {name} = pcall(function()"),
            1 => format!("local {name} = xpcall(function()"),
            _ => format!("local {name} = select('#', pcall(pcall, function()"),
        });
        self.indent += 1;
        let scope = self.locals.len();
        self.statements(depth + 1);
        match self.random.below(4) {
            0 => {
                let value = self.expression(Kind::Any, depth);
                self.line(&format!("error({value})"));
            }
            1 => {
                let call = call::bare(self.random, self.functions, self.vararg);
                self.line(&format!("return {call}"));
            }
            _ => {}
        }
        self.locals.truncate(scope);
        self.indent -= 1;
        let handler = hostile::function(self.random);
        self.line(&match kind {
            0 => "end)".to_owned(),
            1 => format!("end, {handler})"),
            _ => "end))".to_owned(),
        });
        (self.vararg, self.loops) = outer;
        self.declare(&name, Kind::Any, true);
    }

    fn closing(&mut self, depth: usize) {
        let name = self.fresh();
        let body = self.random.pick(&[
            "g0 = 1",
            "error('closing')",
            "if coroutine.isyieldable() then coroutine.yield() end",
            "return {}",
            "local x <close> = setmetatable({}, {__close = error})",
        ]);
        self.line("pcall(function()");
        self.indent += 1;
        self.line(&format!(
            "local {name} <close> = setmetatable({{}}, {{__close = function(o, e) {body} end}})"
        ));
        let scope = self.locals.len();
        let outer = (self.vararg, self.loops);
        (self.vararg, self.loops) = (false, 0);
        self.declare(&name, Kind::Table, false);
        self.statements(depth + 1);
        (self.vararg, self.loops) = outer;
        self.locals.truncate(scope);
        self.indent -= 1;
        self.line("end)");
    }

    /// What ends by a limit only; rare, for it costs time.
    fn runaway(&mut self) {
        if !self.random.rarely(3) {
            return self.line("pcall(error)");
        }
        let lines = [
            "while true do end",
            "while true do pcall(error) end",
            "repeat local x <close> = nil until false",
            "for i = 1, math.maxinteger do g0 = i end",
            "::top:: pcall(coroutine.wrap(function() while true do end end)) goto top",
            "local function f() return f() end f()",
            "local function f() return 1 + f() end f()",
            "local function f(...) return f(1, ...) end f()",
            "local t = {} while true do t[#t + 1] = {} end",
            "local s = 'x' while true do s = s .. s end",
            "string.rep('x', 1 << 40)",
            "local t = {} for i = 1, 3000 do t[i] = i % 7 end table.sort(t, function() return true end)",
            "while true do coroutine.wrap(function() coroutine.yield() end)() end",
            "xpcall(function() while true do end end, function() while true do end end)",
            "coroutine.wrap(function() pcall(function() while true do end end) while true do end end)()",
            "local function w() coroutine.wrap(w)() end w()",
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end g0 = t.x",
            "('x'):rep(1000):gsub('.', function(c) return c:rep(1000) end)",
            "load(function() return ' ' end)",
        ];
        let line = self.random.pick(&lines);
        self.line(&format!("do {line} end"));
    }
}
