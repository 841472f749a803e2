//! A hash of a target's configuration, by which a reload recognizes unchanged targets.
//!
//! # The hash covers the tree, not the decoded types
//!
//! The hash covers every key of the target, including inherited ones, in any order. Keys that are added to targets later are therefore
//! covered automatically. Rebuilding an unchanged target is harmless; keeping a changed one is not.
//!
//! # The hash covers values that are read once
//!
//! References are resolved, and the files of `tls` are read, because they are read when a target is built: a renewed certificate is a
//! change. Passwords and tokens are not covered, because their files are read again when the server rejects the credentials.

use super::map::Map;
use super::template::Template;
use super::yaml::{Node, Value};
use super::{Environment, Pem};
use crate::source::Source;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Keys whose files are read again while the target runs.
const REREAD_KEYS: &[&str] = &["password", "password_file", "token", "token_file"];
/// Keys of files that are read when the target is built.
const READ_ONCE_KEYS: &[&str] = &["ca_file", "cert_file", "key_file"];
/// Maps whose keys the user chooses, so that their names have no meaning here.
const USER_MAPS: &[&str] = &["headers", "resource"];

/// Computes the fingerprint of a target's map, from which no key has been taken yet.
pub(super) fn of(map: &Map<'_>, environment: &Environment) -> u64 {
    let mut hasher = DefaultHasher::new();
    entries(map.nodes().collect(), environment, &mut hasher);
    hasher.finish()
}

/// Adds the mail system: another version of its definition is a change. Equal definitions are the same one.
pub(super) fn with_system(fingerprint: u64, source: &'static Source) -> u64 {
    let mut hasher = DefaultHasher::new();
    (fingerprint, std::ptr::from_ref(source).addr()).hash(&mut hasher);
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
        Value::Map(nodes) if USER_MAPS.contains(&key) => {
            // A header named token is not read again.
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
    if REREAD_KEYS.contains(&key) {
        return text.hash(hasher);
    }
    let resolved = Template::parse(text).ok().and_then(|template| template.resolve(environment).ok());
    let resolved = resolved.as_deref().unwrap_or(text);
    resolved.hash(hasher);
    if READ_ONCE_KEYS.contains(&key) {
        Pem::File(resolved.into()).read().ok().hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::decode::Decoder;
    use super::super::map::Item;
    use super::super::schema::TARGET;
    use super::super::yaml;
    use super::*;
    use std::fs;

    fn fingerprint(text: &str) -> u64 {
        let node = yaml::parse(text).unwrap();
        let environment = [("A", "x")].into_iter().collect();
        let mut decoder = Decoder::new("", &environment, crate::source::SystemList::default());
        of(&decoder.map(&Item::root(&node), TARGET).unwrap(), &environment)
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
    fn the_fingerprint_depends_on_values_and_not_on_notation() {
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
    fn the_fingerprint_covers_files_that_are_read_once() {
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
