// SPDX-License-Identifier: MIT OR Apache-2.0
//! A state's memory cap, to the byte: wherever it is met, what fails is the run, and
//! the state stays usable.

use lunatik::{ErrorKind, State, Value, limits};
use lunatik_tests::{Netns, SOON, holds, integer, lua, refused};

/// Fills the state to the last block: whatever is left is less than the smallest.
const FILL: &str = "
    kept = {}
    for _, size in ipairs{65536, 16384, 4096, 1024, 256, 64, 40} do
        while true do
            local ok, block = pcall(string.rep, 'x', size - 25)
            if not ok or not pcall(function() kept = {kept, block} end) then break end
        end
    end";

/// A state of the least size.
fn smallest(netns: &Netns) -> State {
    let session = netns.session();
    let state = session.new_state("a").max_alloc(limits::MAX_ALLOC_MIN);
    state.create().expect("a state")
}

/// Fails unless the cap held and the state works.
#[track_caller]
fn sound(state: &State) {
    lua(state, "kept = nil");
    assert_eq!(integer(state, "return 6 * 7"), 42);
    let description = state.description().expect("a description");
    assert!(
        description.peak_alloc <= description.max_alloc,
        "{description:?}"
    );
    assert!(
        description.curr_alloc <= description.peak_alloc,
        "{description:?}"
    );
}

#[test]
fn a_script_can_use_its_memory_to_the_last_and_no_more() {
    let netns = Netns::new();
    for max_alloc in [limits::MAX_ALLOC_MIN, 100_000, 1 << 20] {
        let session = netns.session();
        let state = session.new_state("a").max_alloc(max_alloc);
        let state = state.create().expect("a state");
        for _ in 0..20 {
            // That it fills the state may end it.
            let _ = state.do_string(FILL);
            let description = state.description().expect("a description");
            assert!(description.peak_alloc <= max_alloc, "{description:?}");
            assert!(
                max_alloc - description.peak_alloc < 256,
                "not to the last: {description:?}"
            );
            sound(&state);
        }
        let info = session.info().expect("info");
        // Charged in steps, which are no more than a few pages.
        assert!(info.alloc <= u64::from(max_alloc) + 16_384, "{info:?}");
        state.close().expect("closes");
        assert_eq!(session.info().expect("info").alloc, 0);
    }
}

#[test]
fn garbage_is_collected_before_memory_is_refused() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").max_alloc(1 << 20).timeout(SOON);
    let state = state.create().expect("a state");
    for (kind, make) in [
        ("tables", "for i = 1, 15000 do t[i] = {} end"),
        (
            "strings",
            "for i = 1, 90 do t[i] = ('x'):rep(10000 + i) end",
        ),
        ("one string", "t[1] = ('x'):rep(900000)"),
    ] {
        for round in 0..5 {
            // Nine tenths of the cap are garbage of which the collector knows nothing yet.
            let garbage = format!("collectgarbage() local t = {{}} {make}");
            lua(&state, &garbage);
            let values = state.do_string("return #('y'):rep(600000)");
            assert_eq!(
                values.unwrap_or_else(|e| panic!("{kind}, round {round}: {e}")),
                [Value::Integer(600_000)]
            );
            sound(&state);
        }
    }
    // However often.
    for size in [10_000, 100_000, 300_000] {
        lua(
            &state,
            &format!("for i = 1, 50 do local s = ('x'):rep({size}) end"),
        );
    }
    sound(&state);
}

#[test]
fn what_the_kernel_passes_in_counts() {
    let netns = Netns::new();
    let state = smallest(&netns);
    lua(
        &state,
        "seen = 0 require('lunatik').receive(function(data) seen = seen + 1 return #data .. '' end)",
    );
    let mut refusals = 0;
    for length in (0..limits::DATA).step_by(509) {
        match state.send_data(vec![b'x'; length]) {
            Ok(reply) => assert_eq!(reply, Some(length.to_string().into_bytes())),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{length}: {error}");
                assert!(error.to_string().contains("not enough memory"), "{error}");
                refusals += 1;
            }
        }
        match state.call("return #...").arg(vec![b'x'; length]).run() {
            Ok(values) => assert_eq!(values, [Value::from(i64::try_from(length).expect("small"))]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{length}: {error}");
                refusals += 1;
            }
        }
        sound(&state);
    }
    assert!(refusals > 50, "{refusals}");
    // As many pieces, and as a table, and as code.
    for count in [10, 100, 1000] {
        let values = (0..count).map(|n: i64| Value::from(n.to_string() + &"x".repeat(20)));
        let result = state
            .call("local t = ... return #t")
            .arg(Value::sequence(values))
            .run();
        if count > 100 {
            refused(result, ErrorKind::OutOfMemory);
        } else {
            assert_eq!(result.expect("fits"), [Value::from(count)]);
        }
        sound(&state);
    }
    let code = format!("return 1 {}", "x = 'some constant' y = {} ".repeat(4000));
    refused(state.do_string(&code), ErrorKind::Compile);
    refused(
        state.do_string("local t = {} ".repeat(10) + &"t[#t + 1] = {} ".repeat(8000)),
        ErrorKind::OutOfMemory,
    );
    sound(&state);
}

/// With every amount of memory that may be left, down to nothing, something in
/// the kernel's own use of Lua is what does not fit.
#[test]
fn recursion_gives_its_memory_back_when_it_ran_out() {
    let netns = Netns::new();
    let state = smallest(&netns);
    let needed = "local s = ('x'):rep(9000) return #s";
    assert_eq!(integer(&state, needed), 9000);
    refused(
        state.do_string("local function f() return 1 + f() end return f()"),
        ErrorKind::OutOfMemory,
    );
    assert_eq!(integer(&state, needed), 9000);
}

#[test]
fn memory_may_end_in_the_middle_of_the_kernels_own_work() {
    let netns = Netns::new();
    let mut ends = [0; 5];
    for left in (0..6000).step_by(67) {
        let state = smallest(&netns);
        lua(
            &state,
            "function deep(n) if n > 0 then return deep(n - 1) + 1 end error(('e'):rep(500)) end
             require('lunatik').receive(function(data) return data .. data end)",
        );
        let attempts: [&dyn Fn() -> lunatik::Result<()>; 5] = [
            &|| state.do_string("return deep(30)").map(drop),
            &|| state.do_string("print(('x'):rep(700), 1, 2)").map(drop),
            &|| {
                let code = "return {1, {2, {3}}}, tostring(deep), ('r'):rep(600)";
                state.do_string(code).map(drop)
            },
            &|| state.send_data([b'x'; 400]).map(drop),
            &|| {
                let function = "local function f(a) return a, 'text', 1 end ".repeat(8);
                state
                    .do_string(format!("{function} syntax error"))
                    .map(drop)
            },
        ];
        for (end, attempt) in ends.iter_mut().zip(attempts) {
            // Full, and then some blocks of about 200 bytes fewer.
            let fill = format!(
                "kept = {{}} while pcall(function() kept = {{kept, ('x'):rep(100)}} end) do end \
                 for i = 1, {left} // 200 do kept = kept[1] end collectgarbage()"
            );
            // When nothing is left, that may be why it fails.
            if let Err(error) = state.do_string(&fill) {
                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{left}: {error}");
            }
            match attempt() {
                Err(error) if error.kind() == ErrorKind::OutOfMemory => *end += 1,
                Err(error) => assert!(
                    [ErrorKind::Script, ErrorKind::Compile].contains(&error.kind()),
                    "{left}: {error}"
                ),
                Ok(()) => {}
            }
            sound(&state);
        }
        state.close().expect("closes");
    }
    assert!(ends.iter().all(|&count| count > 0), "{ends:?}");
}

#[test]
fn logs_and_queued_data_are_no_way_around_the_cap() {
    let netns = Netns::new();
    let session = netns.session();
    let state = session.new_state("a").max_alloc(65_536);
    let state = state.create().expect("a state");
    let mut subscription = state.subscribe().expect("subscribes");
    lua(&state, "for i = 1, 200 do print(('x'):rep(1000)) end");
    let log = state.log(None).expect("a log");
    let kept: usize = log.lines.iter().map(|line| line.text.len()).sum();
    let description = state.description().expect("a description");
    assert!(kept > 1000, "{kept}");
    assert!(
        usize::try_from(description.curr_alloc).expect("small") > kept,
        "{kept} bytes of lines in {description:?}"
    );
    sound(&state);
    // What nobody has read yet is in the subscriber's socket, which has a limit of its own.
    holds(
        &state,
        "local send = require('lunatik').send \
         for i = 1, 100 do if send(('x'):rep(5000)) > 1 then return false end end return true",
    );
    sound(&state);
    assert_eq!(subscription.recv().expect("a message").data.len(), 5000);
}

#[test]
fn a_state_of_the_least_size_is_made_and_works() {
    let netns = Netns::new();
    for _ in 0..100 {
        let state = smallest(&netns);
        holds(
            &state,
            "local t = {} for i = 1, 100 do t[i] = i end return #t == 100",
        );
        sound(&state);
        state.close().expect("closes");
    }
    assert_eq!(netns.session().info().expect("info").alloc, 0);
}
