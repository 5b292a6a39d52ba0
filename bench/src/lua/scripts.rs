// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts that compute, each in another part of Lua, with integers only. Each runs some ten million
//! instructions, beside which its way into the kernel and its compilation are nothing, and returns
//! an integer that tells whether it did what it should.

/// Scripts by name.
pub(crate) const SCRIPTS: &[(&str, &str)] = &[
    (
        "fib",
        "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
        return fib(22)",
    ),
    (
        "numeric loop",
        "local n = 0 for i = 1, 80000 do n = n + i * 3 % 7 end return n",
    ),
    (
        "while loop",
        "local n, i = 0, 0 while i < 60000 do i = i + 1 if i & 1 == 0 then n = n + i end end return n",
    ),
    (
        "table fill",
        "local n = 0
        for _ = 1, 5 do local t = {} for i = 1, 20000 do t[i] = i end n = n + #t end
        return n",
    ),
    (
        "table read",
        "local t, n = {}, 0 for i = 1, 1000 do t[i] = i end
        for _ = 1, 100 do for i = 1, #t do n = n + t[i] end end
        return n",
    ),
    (
        "string keys",
        "local keys, t, n = {}, {}, 0
        for i = 1, 500 do keys[i] = 'key' .. i t[keys[i]] = i end
        for _ = 1, 60 do for i = 1, #keys do n = n + t[keys[i]] t[keys[i]] = n & 255 end end
        for k in pairs(t) do n = n + #k end
        return n",
    ),
    (
        "..",
        "local n = 0
        for i = 1, 20 do local s = '' for j = 1, 400 do s = s .. 'x' end n = n + #s end
        for i = 1, 2000 do local s = i .. ':' .. i n = n + #s end
        return n",
    ),
    (
        "table.concat",
        "local t, n = {}, 0 for i = 1, 1000 do t[i] = 'item' .. i end
        for _ = 1, 40 do n = n + #table.concat(t, ', ') end
        return n",
    ),
    (
        "string.format",
        "local n = 0 for i = 1, 3000 do n = n + #string.format('%d %s %5x', i, 'text', i) end return n",
    ),
    (
        "sort",
        "local n = 0
        for _ = 1, 2 do
          local t = {} for i = 1, 3000 do t[i] = i * 7919 % 3001 end
          table.sort(t) n = n + t[1] * t[3000]
        end
        return n",
    ),
    (
        "sort by function",
        "local t = {} for i = 1, 2000 do t[i] = i * 7919 % 2001 end
        table.sort(t, function(a, b) return a > b end)
        return t[1] * t[2000]",
    ),
    (
        "string.find",
        "local s, n = ('abcdefghij '):rep(200) .. 'needle 42', 0
        for _ = 1, 60 do n = n + s:find('needle', 1, true) + s:find('n%a+ %d+') end
        return n",
    ),
    (
        "gsub and gmatch",
        "local s, n = ('hello world '):rep(500), 0
        for _ = 1, 4 do
          n = n + select(2, s:gsub('(%w+) (%w+)', '%2 %1'))
          for word in s:gmatch('%a+') do n = n + #word end
        end
        return n",
    ),
    (
        "closures",
        "local n = 0
        local function counter(step) local c = 0 return function() c = c + step return c end end
        for i = 1, 5000 do local f = counter(i) f() n = n + f() end
        return n",
    ),
    (
        "methods",
        "local Account = {} Account.__index = Account
        function Account.new() return setmetatable({balance = 0}, Account) end
        function Account:deposit(v) self.balance = self.balance + v end
        local a = Account.new() for i = 1, 20000 do a:deposit(i) end
        return a.balance",
    ),
    (
        "coroutines",
        "local co = coroutine.wrap(function() while true do coroutine.yield(1) end end)
        local n = 0 for _ = 1, 10000 do n = n + co() end
        return n",
    ),
    (
        "varargs and pcall",
        "local n = 0
        local function f(...) local a, b = ... return select('#', ...) + a + b end
        for i = 1, 8000 do local _, v = pcall(f, i, 2, 3) n = n + v end
        return n",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lua::user::{Libraries, Lua};

    #[test]
    fn every_script_returns_an_integer() {
        let mut lua = Lua::new(Libraries::All).unwrap();
        for (name, script) in SCRIPTS {
            let first = lua.run(script).unwrap();
            assert!(first.is_some(), "{name}");
            // It leaves nothing behind that the next run would be different for.
            assert_eq!(lua.run(script).unwrap(), first, "{name}");
        }
    }

    #[test]
    fn names_differ() {
        let names: BTreeSet<_> = SCRIPTS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), SCRIPTS.len());
    }
}
