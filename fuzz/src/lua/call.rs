// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of library functions with arguments that are hard on them.

use super::hostile;
use crate::random::Random;

/// What functions take, a letter for each argument: integer, small integer,
/// string, pattern, format, pack format, chunk, table, function, coroutine, buffer, packet (k), any.
/// Functions that are not here get anything.
const ARGUMENTS: &[(&str, &str)] = &[
    ("assert", "aa"),
    ("collectgarbage", "gn"),
    ("error", "ai"),
    ("getmetatable", "a"),
    ("ipairs", "a"),
    ("load", "Cssa"),
    ("next", "ta"),
    ("pairs", "a"),
    ("pcall", "faaa"),
    ("print", "aaa"),
    ("rawequal", "aa"),
    ("rawget", "ta"),
    ("rawlen", "t"),
    ("rawset", "taa"),
    ("require", "m"),
    ("select", "iaaa"),
    ("setmetatable", "tt"),
    ("tonumber", "sn"),
    ("tostring", "a"),
    ("type", "a"),
    ("warn", "ss"),
    ("xpcall", "ffaa"),
    ("coroutine.close", "c"),
    ("coroutine.create", "f"),
    ("coroutine.isyieldable", "c"),
    ("coroutine.resume", "caa"),
    ("coroutine.status", "c"),
    ("coroutine.wrap", "f"),
    ("coroutine.yield", "aa"),
    ("math.abs", "i"),
    ("math.fmod", "ii"),
    ("math.max", "iii"),
    ("math.min", "iii"),
    ("math.random", "ii"),
    ("math.randomseed", "ii"),
    ("math.tointeger", "a"),
    ("math.type", "a"),
    ("math.ult", "ii"),
    ("string.byte", "sii"),
    ("string.char", "nni"),
    ("string.find", "spia"),
    ("string.format", "Faaa"),
    ("string.gmatch", "spi"),
    ("string.gsub", "sprn"),
    ("string.len", "s"),
    ("string.lower", "s"),
    ("string.match", "spi"),
    ("string.pack", "Piisi"),
    ("string.packsize", "P"),
    ("string.rep", "sis"),
    ("string.reverse", "s"),
    ("string.sub", "sii"),
    ("string.unpack", "Psi"),
    ("string.upper", "s"),
    ("table.concat", "tsii"),
    ("table.create", "ii"),
    ("table.insert", "tia"),
    ("table.move", "tiiit"),
    ("table.pack", "aaa"),
    ("table.remove", "ti"),
    ("table.sort", "tf"),
    ("table.unpack", "tii"),
    ("utf8.char", "iii"),
    ("utf8.codepoint", "siia"),
    ("utf8.codes", "sa"),
    ("utf8.len", "siia"),
    ("utf8.offset", "sii"),
    ("lunatik.receive", "f"),
    ("lunatik.send", "s"),
    ("data.new", "i"),
    ("data.new(1).u8", "bn"),
    ("data.new(1).setu8", "bni"),
    ("data.new(1).u16", "bn"),
    ("data.new(1).setu16", "bni"),
    ("data.new(1).u32", "bn"),
    ("data.new(1).setu32", "bni"),
    ("data.new(1).u64", "bn"),
    ("data.new(1).setu64", "bni"),
    ("data.new(1).u16le", "bn"),
    ("data.new(1).setu16le", "bni"),
    ("data.new(1).u32le", "bn"),
    ("data.new(1).setu32le", "bni"),
    ("data.new(1).u64le", "bn"),
    ("data.new(1).setu64le", "bni"),
    ("data.new(1).string", "bnn"),
    ("data.new(1).setstring", "bns"),
    ("linux.ifindex", "s"),
    ("linux.ifname", "i"),
    ("linux.random", "ii"),
    ("packet.arp", "bn"),
    ("packet.dns", "bn"),
    ("packet.dnsname", "bnn"),
    ("packet.eth", "bn"),
    ("packet.icmp", "bn"),
    ("packet.icmp6", "bn"),
    ("packet.ip", "bn"),
    ("packet.ipv4", "bn"),
    ("packet.ipv6", "bn"),
    ("packet.ntop", "a"),
    ("packet.pton", "s"),
    ("packet.sni", "bn"),
    ("packet.tcp", "bn"),
    ("packet.udp", "bn"),
    ("lunatik.after", "nf"),
    ("lunatik.every", "nf"),
    ("pkt.u8", "kn"),
    ("pkt.setu8", "kni"),
    ("pkt.u16", "kn"),
    ("pkt.setu16", "kni"),
    ("pkt.u32", "kn"),
    ("pkt.setu32", "kni"),
    ("pkt.u64", "kn"),
    ("pkt.setu64", "kni"),
    ("pkt.u16le", "kn"),
    ("pkt.setu16le", "kni"),
    ("pkt.u32le", "kn"),
    ("pkt.setu32le", "kni"),
    ("pkt.u64le", "kn"),
    ("pkt.setu64le", "kni"),
    ("pkt.string", "kni"),
    ("pkt.string", "knn"),
    ("pkt.string", "k"),
    ("pkt.setstring", "kis"),
    ("pkt.setstring", "kns"),
    ("pkt.setstring", "kns"),
    ("pkt.mark", "ki"),
    ("pkt.hash", "k"),
    ("pkt.time", "k"),
    ("pkt.hwtime", "k"),
    ("pkt.gso_size", "k"),
    ("pkt.arg", "k"),
    ("pkt.protocol", "k"),
    ("pkt.indev", "k"),
    ("pkt.outdev", "k"),
    ("pkt.mac_offset", "k"),
    ("pkt.network_offset", "k"),
    ("pkt.transport_offset", "k"),
    ("pkt.trim", "ki"),
    ("pkt.trim", "kn"),
    ("pkt.append", "ks"),
    ("pkt.append", "ks"),
];

/// What a packet has, some of it more than once, as it is to be called more often.
pub(super) fn methods_of_packets() -> impl Iterator<Item = &'static str> {
    let names = ARGUMENTS.iter().map(|(name, _)| *name);
    names.filter(|name| name.starts_with("pkt."))
}

/// A packet, which may be one that is gone.
fn packet(random: &mut Random) -> String {
    random
        .pick(&["pkt", "pkt", "pkt", "pkt", "pkt", "pkt", "old"])
        .to_owned()
}

const COLLECT: &[&str] = &[
    "'collect'",
    "'stop'",
    "'restart'",
    "'count'",
    "'step'",
    "'isrunning'",
    "'incremental'",
    "'generational'",
    "'param', 'pause'",
    "'param', 'stepmul'",
    "'param', 'stepsize'",
    "'param', 'minormul'",
    "'param', 'majorminor'",
    "'param', 'minormajor'",
    "'param', 'nothing'",
    "'nothing'",
];

/// An argument of this kind.
fn argument(random: &mut Random, letter: char, vararg: bool) -> String {
    let letter = if random.chance(8) {
        random.choose(&['i', 's', 't', 'f', 'c', 'b', 'a'])
    } else {
        letter
    };
    match letter {
        'i' => hostile::integer(random),
        'n' => hostile::small(random),
        's' => hostile::string(random),
        'p' => hostile::pattern(random),
        'F' => hostile::format(random),
        'P' => hostile::pack(random),
        'C' if random.chance(80) => hostile::chunk(random),
        't' => hostile::table(random),
        'f' | 'C' => hostile::function(random),
        'c' => hostile::coroutine(random),
        'b' => hostile::buffer(random),
        'k' => packet(random),
        'g' => random.pick(COLLECT).to_owned(),
        'm' => random
            .pick(&[
                "'lunatik'",
                "'data'",
                "'linux'",
                "'packet'",
                "'packet.tcp'",
                "'string'",
                "'none'",
                "''",
                "'_G'",
                "'mod'",
            ])
            .to_owned(),
        // What gsub replaces with.
        'r' => {
            let kind = random.choose(&['s', 't', 'f']);
            argument(random, kind, vararg)
        }
        _ => any(random, vararg),
    }
}

/// Any value; `vararg` tells whether it may be `...`.
pub(super) fn any(random: &mut Random, vararg: bool) -> String {
    match random.below(16) {
        0 => "nil".to_owned(),
        1 => "true".to_owned(),
        2 => "false".to_owned(),
        3..=5 => hostile::integer(random),
        6..=8 => hostile::string(random),
        9..=11 => hostile::table(random),
        12..=13 => hostile::function(random),
        14 => hostile::coroutine(random),
        _ if vararg => "...".to_owned(),
        _ => hostile::small(random),
    }
}

/// The arguments for a call of `function`, separated by commas.
fn arguments(random: &mut Random, function: &str, vararg: bool) -> String {
    let known = ARGUMENTS.iter().find(|(name, _)| *name == function);
    let letters = known.map_or("aaa", |(_, letters)| letters);
    let mut count = letters.len();
    if known.is_none() || random.chance(25) {
        count = random.below(count + 1);
    }
    let mut arguments: Vec<String> = letters
        .chars()
        .take(count)
        .map(|letter| argument(random, letter, vararg))
        .collect();
    if vararg && random.chance(4) {
        arguments.push("...".to_owned());
    }
    arguments.join(", ")
}

/// A call of one of `functions`, which may raise.
pub(super) fn bare(random: &mut Random, functions: &[String], vararg: bool) -> String {
    let function = &functions[random.below(functions.len())];
    let arguments = arguments(random, function, vararg);
    format!("{}({arguments})", reach(function))
}

/// A call that does not raise.
pub(super) fn protected(random: &mut Random, functions: &[String], vararg: bool) -> String {
    let function = &functions[random.below(functions.len())];
    let arguments = arguments(random, function, vararg);
    let rest = if arguments.is_empty() {
        String::new()
    } else {
        format!(", {arguments}")
    };
    let function = reach(function);
    match random.below(8) {
        0 => {
            let handler = hostile::function(random);
            format!("xpcall({function}, {handler}{rest})")
        }
        1 => format!("coroutine.resume(coroutine.create({function}){rest})"),
        2 => format!("pcall(pcall, {function}{rest})"),
        3 => format!("select('#', pcall({function}{rest}))"),
        _ => format!("pcall({function}{rest})"),
    }
}

/// How a script comes to the function.
fn reach(function: &str) -> String {
    const GLOBAL: &[&str] = &["coroutine", "math", "pkt", "string", "table", "utf8"];
    match function.split_once('.') {
        Some((module, name)) if !GLOBAL.contains(&module) => {
            format!("require '{module}'.{name}")
        }
        _ => function.to_owned(),
    }
}

/// The functions whose arguments are known.
#[cfg(test)]
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    ARGUMENTS.iter().map(|(name, _)| *name)
}
