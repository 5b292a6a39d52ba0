// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds `kmod/lunatik.yaml` to the UAPI header: what one has, the other has too.

use std::collections::BTreeMap;

use serde::Deserialize;

const HEADER: &str = include_str!("../../kmod/include/uapi/linux/lunatik.h");
const SPEC: &str = include_str!("../../kmod/lunatik.yaml");

/// The parts of the specification that the header has as well, and those that
/// refer to other parts.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Spec {
    name: String,
    version: i64,
    c_family_name: String,
    c_version_name: String,
    definitions: Vec<Definition>,
    attribute_sets: Vec<AttributeSet>,
    operations: Operations,
    mcast_groups: Groups,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Definition {
    name: String,
    name_prefix: String,
    enum_name: Option<String>,
    r#type: String,
    value: Option<i64>,
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct AttributeSet {
    name: String,
    name_prefix: String,
    enum_name: String,
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Attribute {
    name: String,
    r#type: String,
    value: Option<i64>,
    #[serde(default)]
    multi_attr: bool,
    nested_attributes: Option<String>,
    r#enum: Option<String>,
    #[serde(default)]
    checks: BTreeMap<String, Limit>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Limit {
    Number(i64),
    Constant(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Operations {
    enum_name: String,
    name_prefix: String,
    list: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Operation {
    name: String,
    value: Option<i64>,
    attribute_set: Option<String>,
    r#do: Option<Exchange>,
    dump: Option<Exchange>,
    event: Option<Message>,
    notify: Option<String>,
    mcgrp: Option<String>,
}

#[derive(Deserialize)]
struct Exchange {
    request: Option<Message>,
    reply: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    attributes: Vec<String>,
}

#[derive(Deserialize)]
struct Groups {
    list: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Group {
    name: String,
    c_define_name: String,
}

fn spec() -> Spec {
    serde_yaml_ng::from_str(SPEC).expect("the specification has the expected form")
}

/// As C has it: `lunatik-a-` and `state-name` are `LUNATIK_A_STATE_NAME`.
fn c_name(prefix: &str, name: &str) -> String {
    format!("{prefix}{name}").replace('-', "_").to_uppercase()
}

/// The entries of an enumeration with their values.
type Enum = BTreeMap<String, i64>;

/// Numbers entries as YNL does: each is one more than the one before it unless it
/// has a value of its own.
fn number<'a>(
    prefix: &str,
    first: i64,
    entries: impl IntoIterator<Item = (&'a str, Option<i64>)>,
) -> Enum {
    let mut next = first;
    let mut numbered = Enum::new();
    for (name, value) in entries {
        let value = value.unwrap_or(next);
        next = value + 1;
        let old = numbered.insert(c_name(prefix, name), value);
        assert_eq!(old, None, "{name} is there twice");
    }
    numbered
}

fn spec_enums(spec: &Spec) -> BTreeMap<String, Enum> {
    let mut enums = BTreeMap::new();
    for definition in &spec.definitions {
        let names = definition.entries.iter().map(|entry| &*entry.name);
        let entries = match &*definition.r#type {
            "enum" => number(
                &definition.name_prefix,
                0,
                names.map(|name| (name, None::<i64>)),
            ),
            "flags" => number(
                &definition.name_prefix,
                0,
                names
                    .enumerate()
                    .map(|(bit, name)| (name, Some(1_i64 << bit))),
            ),
            _ => continue,
        };
        let name = definition.enum_name.as_ref().expect("it has a name in C");
        enums.insert(name.replace('-', "_"), entries);
    }
    for set in &spec.attribute_sets {
        let attributes = set.attributes.iter();
        let entries = attributes.map(|attribute| (&*attribute.name, attribute.value));
        enums.insert(
            set.enum_name.replace('-', "_"),
            number(&set.name_prefix, 1, entries),
        );
    }
    let operations = spec.operations.list.iter();
    // YNL has no entry for number 0, which is no operation.
    let entries = [("unspec", Some(0))]
        .into_iter()
        .chain(operations.map(|operation| (&*operation.name, operation.value)));
    enums.insert(
        spec.operations.enum_name.replace('-', "_"),
        number(&spec.operations.name_prefix, 1, entries),
    );
    enums
}

/// What the header says.
#[derive(Default)]
struct Header {
    numbers: BTreeMap<String, i64>,
    strings: BTreeMap<String, String>,
    enums: BTreeMap<String, Enum>,
    /// The comment beside an entry.
    comments: BTreeMap<String, String>,
}

fn header() -> Header {
    let mut header = Header::default();
    let mut current: Option<(String, i64)> = None;
    for line in HEADER.lines() {
        let (code, comment) = line.split_once("/*").unwrap_or((line, ""));
        let code = code.trim();
        let comment = comment.trim_end_matches("*/").trim();
        if let Some(rest) = code.strip_prefix("#define ") {
            let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let value = value.trim();
            if let Ok(value) = value.parse() {
                header.numbers.insert(name.to_owned(), value);
            } else if let Some(text) = value.strip_prefix('"') {
                let text = text.trim_end_matches('"').to_owned();
                header.strings.insert(name.to_owned(), text);
            }
        } else if let Some(name) = code
            .strip_prefix("enum ")
            .and_then(|code| code.strip_suffix(" {"))
        {
            header.enums.insert(name.to_owned(), Enum::new());
            current = Some((name.to_owned(), 0));
        } else if code == "};" {
            current = None;
        } else if let Some((name, next)) = &mut current
            && code.starts_with("LUNATIK_")
        {
            let code = code.trim_end_matches(',');
            let (entry, value) = match code.split_once('=') {
                Some((entry, value)) => (entry.trim(), evaluate(value)),
                None => (code, *next),
            };
            *next = value + 1;
            let entries = header.enums.get_mut(name).expect("it was begun");
            entries.insert(entry.to_owned(), value);
            header.comments.insert(entry.to_owned(), comment.to_owned());
        }
    }
    header
}

/// The value of `7` or `1 << 7`.
fn evaluate(expression: &str) -> i64 {
    let number = |text: &str| -> i64 { text.trim().parse().expect("a number") };
    match expression.split_once("<<") {
        Some((base, bits)) => number(base) << number(bits),
        None => number(expression),
    }
}

#[test]
fn family_is_that_of_the_header() {
    let (spec, header) = (spec(), header());
    assert_eq!(header.strings[&c_name("", &spec.c_family_name)], spec.name);
    assert_eq!(
        header.numbers[&c_name("", &spec.c_version_name)],
        spec.version
    );
    let mut strings = header.strings;
    strings.remove(&c_name("", &spec.c_family_name));
    let groups = spec.mcast_groups.list.into_iter();
    let groups: BTreeMap<_, _> = groups
        .map(|group| (c_name("", &group.c_define_name), group.name))
        .collect();
    assert_eq!(groups, strings);
}

#[test]
fn limits_are_those_of_the_header() {
    let (spec, mut header) = (spec(), header());
    header.numbers.remove(&c_name("", &spec.c_version_name));
    let constants = spec.definitions.iter().filter(|d| d.r#type == "const");
    let constants: Enum = constants
        .map(|constant| {
            (
                c_name(&constant.name_prefix, &constant.name),
                constant.value.expect("a constant has a value"),
            )
        })
        .collect();
    assert_eq!(constants, header.numbers);
}

#[test]
fn enumerations_are_those_of_the_header() {
    let (spec, header) = (spec_enums(&spec()), header());
    assert_eq!(
        spec.keys().collect::<Vec<_>>(),
        header.enums.keys().collect::<Vec<_>>()
    );
    for (name, entries) in spec {
        assert_eq!(entries, header.enums[&name], "enum {name}");
    }
}

#[test]
fn types_are_those_of_the_headers_comments() {
    let header = header();
    for set in spec().attribute_sets {
        for attribute in set.attributes {
            let name = c_name(&set.name_prefix, &attribute.name);
            let comment = &header.comments[&name];
            let word = comment.split([' ', ',', ':']).next().unwrap_or_default();
            let expected = match word {
                "" => "unused",
                "NUL-terminated" => "string",
                // Counted by its length, any byte.
                "string" => "binary",
                word => word,
            };
            assert_eq!(attribute.r#type, expected, "{name}");
            assert_eq!(
                attribute.multi_attr,
                comment.contains("may be repeated"),
                "{name}"
            );
        }
    }
}

#[test]
fn references_within_the_specification_hold() {
    let spec = spec();
    let constants: Vec<_> = spec
        .definitions
        .iter()
        .filter(|definition| definition.r#type == "const")
        .map(|constant| format!("{}{}", constant.name_prefix, constant.name))
        .collect();
    for attribute in spec.attribute_sets.iter().flat_map(|set| &set.attributes) {
        for (check, limit) in &attribute.checks {
            match limit {
                Limit::Number(limit) => assert!(*limit >= 0, "{check} of {}", attribute.name),
                Limit::Constant(name) => assert!(constants.contains(name), "no {name}"),
            }
        }
        if let Some(nested) = &attribute.nested_attributes {
            assert!(spec.attribute_sets.iter().any(|set| set.name == *nested));
        }
        if let Some(name) = &attribute.r#enum {
            assert!(spec.definitions.iter().any(|d| d.name == *name));
        }
    }
    for operation in &spec.operations.list {
        let exchanges = [&operation.r#do, &operation.dump].into_iter().flatten();
        let messages = exchanges
            .flat_map(|exchange| [&exchange.request, &exchange.reply])
            .flatten()
            .chain(&operation.event);
        for name in messages.flat_map(|message| &message.attributes) {
            let set = spec
                .attribute_sets
                .iter()
                .find(|set| Some(&set.name) == operation.attribute_set.as_ref())
                .unwrap_or_else(|| panic!("{} has no attribute set", operation.name));
            assert!(
                set.attributes
                    .iter()
                    .any(|attribute| attribute.name == *name),
                "{} has no attribute {name}",
                operation.name
            );
        }
        let unasked = operation.event.is_some() || operation.notify.is_some();
        assert_eq!(
            unasked,
            operation.name.ends_with("-ntf"),
            "{}",
            operation.name
        );
        assert_eq!(unasked, operation.mcgrp.is_some(), "{}", operation.name);
        if let Some(name) = &operation.notify {
            assert!(spec.operations.list.iter().any(|o| o.name == *name));
        }
        if let Some(name) = &operation.mcgrp {
            assert!(spec.mcast_groups.list.iter().any(|g| g.name == *name));
        }
    }
}
