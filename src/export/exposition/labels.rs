//! The names of a series' labels on a page: each a name, and each once, for Prometheus refuses a whole page for less.

use crate::model::SampleRef;

/// What goes before the name of a label that a page has a use of its own for, as Prometheus itself does it.
const EXPORTED: &str = "exported_";

/// The names, where they are not those that the server gave: `good` names stand, unless they are `reserved`.
pub(super) fn given(sample: &SampleRef<'_>, good: impl Fn(&str) -> bool, reserved: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let stands = |label: &str| good(label) && !reserved(label);
    if sample.labels().all(|(label, _)| stands(label)) {
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(sample.labels().len());
    for (label, _) in sample.labels() {
        let (mut name, before) = match (good(label), reserved(label)) {
            (true, false) => (label.to_owned(), ""),
            (true, true) => (format!("{EXPORTED}{label}"), EXPORTED),
            (false, _) => (mended(label), "_"),
        };
        let taken = |name: &String| names.contains(name) || sample.labels().any(|(other, _)| stands(other) && other == name);
        while !before.is_empty() && taken(&name) {
            name.insert_str(0, before);
        }
        names.push(name);
    }
    Some(names)
}

/// A label name that every Prometheus reads.
pub(super) fn is_name(name: &str) -> bool {
    name.bytes().all(is_byte) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// What Prometheus cannot read becomes `_`.
fn mended(name: &str) -> String {
    std::iter::once('_').chain(name.bytes().map(|byte| if is_byte(byte) { char::from(byte) } else { '_' })).collect()
}

fn is_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

/// Looked up, as every label of every series is looked at.
const NAME_BYTES: [bool; 256] = {
    let mut good = [false; 256];
    let mut byte = 0;
    while byte < good.len() {
        good[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    good
};
