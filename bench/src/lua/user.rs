// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Lua of the module in user space: the version that `build.rs` builds.
//!
//! mlua could do this, but not in a workspace that builds a Lua module with it, too: the features that the
//! two need exclude each other.

#![expect(unsafe_code, reason = "Lua is C")]

use std::ffi::{c_char, c_int, c_longlong, c_void};
use std::ptr::{self, NonNull};

use anyhow::{Context, Result, bail};

const LUA_MULTRET: c_int = -1;

/// Which libraries a state has.
#[derive(Clone, Copy)]
pub(crate) enum Libraries {
    /// All of them
    All,
    /// Those that a state in the kernel has, too
    Kernel,
}

impl Libraries {
    /// As lualib.h numbers them: base, coroutine, math, string, table and utf8.
    fn mask(self) -> c_int {
        match self {
            Self::All => !0,
            Self::Kernel => 1 | 1 << 2 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9,
        }
    }
}

unsafe extern "C" {
    fn luaL_newstate() -> *mut c_void;
    fn luaL_openselectedlibs(lua: *mut c_void, load: c_int, preload: c_int);
    fn lua_close(lua: *mut c_void);
    fn luaL_loadbufferx(
        lua: *mut c_void,
        code: *const c_char,
        length: usize,
        name: *const c_char,
        mode: *const c_char,
    ) -> c_int;
    fn lua_pcallk(
        lua: *mut c_void,
        arguments: c_int,
        results: c_int,
        handler: c_int,
        context: isize,
        continuation: *const c_void,
    ) -> c_int;
    fn lua_settop(lua: *mut c_void, index: c_int);
    fn lua_tointegerx(lua: *mut c_void, index: c_int, is_integer: *mut c_int) -> c_longlong;
    fn lua_tolstring(lua: *mut c_void, index: c_int, length: *mut usize) -> *const c_char;
}

/// A Lua state in user space.
pub(crate) struct Lua(NonNull<c_void>);

impl Lua {
    pub(crate) fn new(libraries: Libraries) -> Result<Self> {
        // SAFETY: the function has no preconditions.
        let lua = NonNull::new(unsafe { luaL_newstate() }).context("no memory for a Lua state")?;
        // SAFETY: the state is new; without memory for its libraries Lua aborts.
        unsafe { luaL_openselectedlibs(lua.as_ptr(), libraries.mask(), 0) };
        Ok(Self(lua))
    }

    /// Runs `code` and gives its first result, an integer.
    pub(crate) fn run(&mut self, code: &str) -> Result<Option<i64>> {
        let lua = self.0.as_ptr();
        // SAFETY: the code and its name live as long as the call, both are bounded, and the calls are protected.
        let status = unsafe {
            match luaL_loadbufferx(
                lua,
                code.as_ptr().cast(),
                code.len(),
                c"=bench".as_ptr(),
                ptr::null(),
            ) {
                0 => lua_pcallk(lua, 0, LUA_MULTRET, 0, 0, ptr::null()),
                status => status,
            }
        };
        let mut is_integer = 0;
        // SAFETY: neither call raises for a value that is there or not, and the stack is emptied only after
        // what was said of an error has been copied.
        let (integer, message) = unsafe {
            let integer = lua_tointegerx(lua, 1, &raw mut is_integer);
            let message = (status != 0).then(|| self.text());
            lua_settop(lua, 0);
            (integer, message)
        };
        if let Some(message) = message {
            bail!("{message}");
        }
        Ok((is_integer != 0).then_some(integer))
    }

    /// The topmost value as text.
    fn text(&self) -> String {
        let mut length = 0;
        // SAFETY: the state is alive; the text is copied before the state can change.
        unsafe {
            let text = lua_tolstring(self.0.as_ptr(), -1, &raw mut length);
            if text.is_null() {
                return "an error that is no string".to_owned();
            }
            String::from_utf8_lossy(std::slice::from_raw_parts(text.cast(), length)).into_owned()
        }
    }
}

impl Drop for Lua {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody uses it any more.
        unsafe { lua_close(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_errors() {
        let mut lua = Lua::new(Libraries::All).unwrap();
        assert_eq!(lua.run("x = 41").unwrap(), None);
        assert_eq!(lua.run("return x + 1").unwrap(), Some(42));
        assert_eq!(lua.run("return 'a'").unwrap(), None);
        assert_eq!(
            lua.run("return #_VERSION == 7 and _VERSION:sub(-1) + 0")
                .unwrap(),
            Some(5)
        );
        assert_eq!(
            lua.run("error('boom')").unwrap_err().to_string(),
            "bench:1: boom"
        );
        assert!(lua.run("return +").is_err());
    }

    #[test]
    fn libraries_of_the_kernel() {
        let mut lua = Lua::new(Libraries::Kernel).unwrap();
        let script = "return (print and coroutine and math and string and table and utf8) and
            not (io or os or debug or require) and 1";
        assert_eq!(lua.run(script).unwrap(), Some(1));
    }
}
