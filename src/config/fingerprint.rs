//! A number that tells whether a target is configured as it was, so that a reload leaves it alone.
//!
//! # Of the tree, not of the types
//!
//! It is made of everything that stands there, defaults included, in whatever order. A key that is added to targets one day
//! is part of it without a word, and a changed target that would be taken for unchanged is worse than one that is built anew.
//!
//! # Of what is read once
//!
//! References are filled in, and files of `tls` are read: those are looked at when a target is built, so a renewed certificate
//! is a change. Passwords and tokens are not: their files are read again when the server refuses what was read.

use super::decode::Map;
use super::template::Template;
use super::yaml::{Node, Value};
use super::{Environment, Pem};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Keys whose files are read again while the target runs.
const READ_AGAIN: &[&str] = &["password", "password_file", "token", "token_file"];
/// Keys that name files which are read when the target is built.
const READ_ONCE: &[&str] = &["ca_file", "cert_file", "key_file"];
/// Maps whose keys are the user's, and mean nothing here.
const USERS_KEYS: &[&str] = &["headers", "resource"];

/// The fingerprint of a target's map, before anything was taken from it.
pub(super) fn of(map: &Map<'_>, environment: &Environment) -> u64 {
    let mut hasher = DefaultHasher::new();
    entries(map.entries().collect(), environment, &mut hasher);
    hasher.finish()
}

fn entries(mut entries: Vec<(&str, &Node)>, environment: &Environment, hasher: &mut DefaultHasher) {
    entries.sort_by_key(|(name, _)| *name);
    entries.len().hash(hasher);
    for (name, node) in entries {
        name.hash(hasher);
        value(name, node, environment, hasher);
    }
}

fn value(key: &str, node: &Node, environment: &Environment, hasher: &mut DefaultHasher) {
    std::mem::discriminant(&node.value).hash(hasher);
    match &node.value {
        Value::Nothing => {}
        Value::Scalar(text) => scalar(key, text, environment, hasher),
        Value::List(nodes) => {
            nodes.len().hash(hasher);
            nodes.iter().for_each(|node| value(key, node, environment, hasher));
        }
        Value::Map(nodes) if USERS_KEYS.contains(&key) => {
            // A header called token is not read again.
            let mut nodes: Vec<_> = nodes.iter().map(|(key, node)| (key.name.as_str(), node)).collect();
            nodes.sort_by_key(|(name, _)| *name);
            for (name, node) in nodes {
                name.hash(hasher);
                value("", node, environment, hasher);
            }
        }
        Value::Map(nodes) => entries(nodes.iter().map(|(key, node)| (key.name.as_str(), node)).collect(), environment, hasher),
    }
}

fn scalar(key: &str, text: &str, environment: &Environment, hasher: &mut DefaultHasher) {
    if READ_AGAIN.contains(&key) {
        return text.hash(hasher);
    }
    let filled = Template::parse(text).ok().and_then(|template| template.fill(environment).ok());
    let filled = filled.as_deref().unwrap_or(text);
    filled.hash(hasher);
    if READ_ONCE.contains(&key) {
        Pem::File(filled.into()).read().ok().hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::decode::{Decoder, Item};
    use super::super::yaml;
    use super::*;
    use std::fs;

    fn fingerprint(text: &str) -> u64 {
        let node = yaml::parse(text).unwrap();
        let environment = [("A", "x")].into_iter().collect();
        let mut decoder = Decoder::new("", &environment, &[]);
        of(&decoder.map(&Item::root(&node)).unwrap(), &environment)
    }

    #[track_caller]
    fn same(a: &str, b: &str) {
        assert_eq!(fingerprint(a), fingerprint(b), "{a} {b}");
    }

    #[track_caller]
    fn other(a: &str, b: &str) {
        assert_ne!(fingerprint(a), fingerprint(b), "{a} {b}");
    }

    #[test]
    fn it_is_what_is_said_and_not_how() {
        same("{a: 1, b: [2, 3]}", "b:\n  - '2'\n  - 3\n\n# and\na: \"1\"\n");
        same("{url: x}", "{url: '${env:A}'}");
        same("{parts: {q: {}, p: {}}}", "{parts: {p: {}, q: {}}}");
        other("{a: 1}", "{a: 2}");
        other("{a: 1}", "{a: [1]}");
        other("{a: 1}", "{}");
        other("{a: }", "{}");
        other("{a: [1, 2]}", "{a: [2, 1]}");
        other("{a: {b: 1}, c: {}}", "{a: {}, c: {b: 1}}");
        other("{token: x}", "{token: y}");
    }

    #[test]
    fn files_count_where_they_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let of = |key: &str| {
            let text = key.replace("FILE", &path.display().to_string());
            let [before, after] = ["one", "two"].map(|content| {
                fs::write(&path, content).unwrap();
                fingerprint(&text)
            });
            before == after
        };
        let cases = [
            ("{token_file: FILE}", true),
            ("{password: '${file:FILE}'}", true),
            ("{parts: {q: {token: '${file:FILE}'}}}", true),
            ("{url: '${file:FILE}'}", false),
            ("{headers: {X-A: '${file:FILE}'}}", false),
            ("{headers: {token: '${file:FILE}'}}", false),
            ("{tls: {ca_file: FILE}}", false),
            ("{tls: {server_name: FILE}}", true),
        ];
        for (key, expected) in cases {
            assert_eq!(of(key), expected, "{key}");
        }
    }
}
