// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs of a script, and what they give.

use std::time::Duration;

use lunatik_sys::{lunatik_attr, lunatik_cmd};
use nix::libc;

use crate::{
    channel::{Answer, Next},
    error::{Error, LuaError, Result},
    limits,
    session::{put_string, put_timeout},
    state::State,
    value::{Decoder, Value},
    wire::{Attr, Request},
};

/// Longest CODE attribute; a longer script goes as several.
const CODE_ATTRIBUTE: usize = 65_000;

/// A call of a script, about to be made.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `run`"]
pub struct Call<'a> {
    state: &'a State,
    code: &'a [u8],
    arguments: Vec<Value>,
    chunk_name: Option<&'a str>,
    timeout: Option<Duration>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(state: &'a State, code: &'a [u8]) -> Self {
        Self {
            state,
            code,
            arguments: Vec::new(),
            chunk_name: None,
            timeout: None,
        }
    }

    /// Adds an argument; the script has them as `...`.
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.arguments.push(value.into());
        self
    }

    /// Adds arguments.
    pub fn args<T: Into<Value>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(values.into_iter().map(Into::into));
        self
    }

    /// Names the chunk in messages and tracebacks, as Lua's `load` takes it:
    /// `@name` a file, `=name` as it stands, else the source itself. At most
    /// [`limits::CHUNK_NAME`] bytes.
    pub fn chunk_name(mut self, name: &'a str) -> Self {
        self.chunk_name = Some(name);
        self
    }

    /// Limits the wall-clock time of this run, with microsecond precision.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs the script and gives what it returns.
    ///
    /// # Errors
    ///
    /// Those of [`State::do_string`].
    pub fn run(self) -> Result<Vec<Value>> {
        if self.code.len() > limits::CODE {
            return Err(Error::too_large("CODE", self.code.len(), limits::CODE));
        }
        let mut results = Decoder::default();
        run(
            self.state,
            lunatik_cmd::LUNATIK_CMD_DOSTRING,
            |request| self.put(request),
            |attr| {
                if attr.kind == lunatik_attr::LUNATIK_A_RESULT.as_u16() {
                    results.push(attr)?;
                }
                Ok(())
            },
        )?;
        results.finish()
    }

    fn put(&self, request: &mut Request<'_>) -> Result<()> {
        if self.code.is_empty() {
            request.bytes(lunatik_attr::LUNATIK_A_CODE, &[])?;
        }
        for part in self.code.chunks(CODE_ATTRIBUTE) {
            request.bytes(lunatik_attr::LUNATIK_A_CODE, part)?;
        }
        if let Some(name) = self.chunk_name {
            if name.is_empty() {
                return Err(Error::refuse(libc::EINVAL, "CHUNK_NAME is empty"));
            }
            if name.len() > limits::CHUNK_NAME {
                return Err(Error::too_large(
                    "CHUNK_NAME",
                    name.len(),
                    limits::CHUNK_NAME,
                ));
            }
            put_string(request, lunatik_attr::LUNATIK_A_CHUNK_NAME, name)?;
        }
        for argument in &self.arguments {
            argument.encode(request, lunatik_attr::LUNATIK_A_ARG)?;
        }
        put_timeout(request, self.timeout)
    }
}

/// Makes a request that runs a script: when that fails, the reply has what Lua
/// said, and the error follows it.
pub(crate) fn run(
    state: &State,
    cmd: lunatik_cmd,
    write: impl FnOnce(&mut Request<'_>) -> Result<()>,
    mut read: impl FnMut(Attr<'_>) -> Result<()>,
) -> Result<()> {
    let mut message = None;
    let mut traceback = None;
    let answer = state.inner().request(
        cmd,
        Answer::Maybe,
        |request| {
            state.request_id().put(request)?;
            write(request)
        },
        |attrs| {
            for attr in attrs {
                let attr = attr?;
                match lunatik_attr::from(attr.kind) {
                    lunatik_attr::LUNATIK_A_ERROR => {
                        join(&mut message, attr.payload);
                    }
                    lunatik_attr::LUNATIK_A_TRACEBACK => {
                        join(&mut traceback, attr.payload);
                    }
                    _ => read(attr)?,
                }
            }
            Ok(if message.is_some() {
                Next::Error
            } else {
                Next::End
            })
        },
    );
    match answer {
        Err(Error::Refused(mut refusal)) => {
            refusal.lua = message.map(|message| LuaError { message, traceback });
            Err(Error::Refused(refusal))
        }
        Ok(()) if message.is_some() => Err(Error::protocol("an error of a script that succeeded")),
        answer => answer,
    }
}

/// A text longer than one attribute holds comes in several.
pub(crate) fn join(text: &mut Option<Vec<u8>>, part: &[u8]) {
    text.get_or_insert_default().extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use neli::consts::nl::NlmF;

    use super::*;
    use crate::{
        ErrorKind, Session,
        fake::{attr, done, error, reply},
    };

    const CMD: lunatik_cmd = lunatik_cmd::LUNATIK_CMD_DOSTRING;

    fn answered(datagrams: &[Vec<u8>]) -> Result<Vec<Value>> {
        let (session, kernel) = Session::fake();
        for datagram in datagrams {
            kernel.send(datagram).expect("room");
        }
        session.state("fw").do_string("return")
    }

    #[test]
    fn success_without_results_has_no_answer() {
        assert_eq!(answered(&[]).expect("success"), []);
    }

    #[test]
    fn failing_script_gives_one_error() {
        let said = [
            attr(lunatik_attr::LUNATIK_A_ERROR, b"fw:1: boom"),
            attr(lunatik_attr::LUNATIK_A_TRACEBACK, b"stack traceback:"),
        ]
        .concat();
        let none = NlmF::empty();
        let whole = [reply(none, 1, CMD, &said), error(1, libc::EREMOTEIO, &[])];
        let parts = [
            reply(NlmF::MULTI, 1, CMD, &said[..16]),
            reply(NlmF::MULTI, 1, CMD, &said[16..]),
            done(1, libc::EREMOTEIO, &[]),
        ];
        for datagrams in [&whole[..], &parts] {
            let error = answered(datagrams).expect_err("the script failed");
            assert_eq!(error.kind(), ErrorKind::Script);
            let lua = error.lua().expect("Lua said something");
            assert_eq!(lua.message(), "fw:1: boom");
            assert_eq!(lua.traceback().as_deref(), Some("stack traceback:"));
            assert_eq!(error.to_string(), "fw:1: boom (EREMOTEIO)");
        }
    }

    #[test]
    fn failure_before_the_script_runs_has_no_lua_error() {
        let error = answered(&[error(1, libc::ESHUTDOWN, &[])]).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!(error.lua(), None);
    }

    #[test]
    fn long_script_goes_whole_in_several_attributes() {
        let code: Vec<u8> = (0..=250u8).cycle().take(limits::CODE).collect();
        let (session, kernel) = Session::fake();
        kernel.set_nonblocking(false).expect("a socket");
        let kernel = std::thread::spawn(move || {
            let mut request = vec![0; 1 << 20];
            let length = kernel.recv(&mut request).expect("sent");
            request.truncate(length);
            request
        });
        session
            .state("fw")
            .call(&code)
            .chunk_name("=x")
            .run()
            .expect("success");
        let request = kernel.join().expect("no panic");
        let message = crate::wire::Messages(&request).next().expect("one");
        let (_, attrs) = message.expect("well-formed").genl().expect("a command");
        let mut sent = Vec::new();
        for attr in attrs.map(|attr| attr.expect("well-formed")) {
            match lunatik_attr::from(attr.kind) {
                lunatik_attr::LUNATIK_A_CODE => sent.extend_from_slice(attr.payload),
                lunatik_attr::LUNATIK_A_CHUNK_NAME => assert_eq!(attr.payload, b"=x\0"),
                lunatik_attr::LUNATIK_A_STATE_NAME => assert_eq!(attr.payload, b"fw\0"),
                other => panic!("{other:?}"),
            }
        }
        assert!(sent == code);
    }

    #[test]
    fn what_is_too_large_is_refused_and_said() {
        let (session, _kernel) = Session::fake();
        let state = session.state("fw");
        let code = vec![b' '; limits::CODE + 1];
        let name = "=".repeat(limits::CHUNK_NAME + 1);
        for (error, text) in [
            (
                state.do_string(&code).expect_err("refused"),
                "CODE is 262145 bytes, the limit is 262144 (EMSGSIZE)",
            ),
            (
                state.call("").chunk_name(&name).run().expect_err("refused"),
                "CHUNK_NAME is 256 bytes, the limit is 255 (EMSGSIZE)",
            ),
            (
                state
                    .send_data(vec![0; limits::DATA + 1])
                    .expect_err("refused"),
                "DATA is 61441 bytes, the limit is 61440 (EMSGSIZE)",
            ),
        ] {
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            assert_eq!(error.to_string(), text);
        }
    }
}
