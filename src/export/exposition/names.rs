//! Names of metrics and labels on a page. Beyond letters, digits and underscores they are quoted, or escaped as the client asks.

use crate::model::SampleRef;
use std::borrow::Cow;
use std::fmt::Write;

/// How names are written that Prometheus before version 3 does not read: what `escaping` in `Accept` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// `underscores`: each other character is an underscore.
    #[default]
    Underscores,
    /// `dots`: `.` is `_dot_`, `_` is `__`, and each other character is `__`.
    Dots,
    /// `values`: `U__`, and each other character is its number between underscores.
    Values,
    /// `allow-utf-8`: names stay as they are, in quotes.
    AllowUtf8,
}

impl Escaping {
    /// The scheme of this name in `Accept`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "underscores" => Self::Underscores,
            "dots" => Self::Dots,
            "values" => Self::Values,
            "allow-utf-8" => Self::AllowUtf8,
            _ => return None,
        })
    }
}

/// A metric name that every Prometheus reads.
pub(super) fn is_metric_name(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':';
    name.bytes().next().is_some_and(first) && name.bytes().all(|b| first(b) || b.is_ascii_digit())
}

/// A label name that every Prometheus reads.
pub(super) fn is_label_name(name: &str) -> bool {
    name.bytes().all(|byte| LABEL_BYTES[usize::from(byte)]) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Looked up, as every label of every series is looked at.
const LABEL_BYTES: [bool; 256] = {
    let mut good = [false; 256];
    let mut byte = 0;
    while byte < good.len() {
        good[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    good
};

/// The name of a metric on a page.
pub(super) fn metric_name<'a>(name: Cow<'a, str>, escaping: Escaping) -> Cow<'a, str> {
    if escaping == Escaping::AllowUtf8 || is_metric_name(&name) { name } else { Cow::Owned(escape(&name, escaping)) }
}

/// The names of a series' labels, where some are escaped. None has the name of another, or that of a metric.
pub(super) fn label_names(sample: &SampleRef<'_>, escaping: Escaping) -> Option<Vec<String>> {
    if escaping == Escaping::AllowUtf8 || sample.labels().all(|(label, _)| is_label_name(label)) {
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(sample.labels().len());
    for (label, _) in sample.labels() {
        let mut name = label.to_owned();
        if !is_label_name(label) {
            // A label has no colon, which the schemes leave as it is.
            name = escape(label, escaping).replace(':', "_");
            while name == NAME || names.contains(&name) || sample.labels().any(|(other, _)| other == name) {
                name.insert(0, '_');
            }
        }
        names.push(name);
    }
    Some(names)
}

/// The label whose value is the name of a series.
const NAME: &str = "__name__";

/// A name in which every character is one that Prometheus always had, as its client libraries escape it.
fn escape(name: &str, escaping: Escaping) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    if escaping == Escaping::Values {
        escaped.push_str("U__");
    }
    for (at, c) in name.chars().enumerate() {
        let legacy = c.is_ascii_alphabetic() || c == '_' || c == ':' || (c.is_ascii_digit() && at > 0);
        match (escaping, c) {
            (Escaping::Dots | Escaping::Values, '_') => escaped.push_str("__"),
            (Escaping::Dots, '.') => escaped.push_str("_dot_"),
            (_, c) if legacy => escaped.push(c),
            (Escaping::Dots, _) => escaped.push_str("__"),
            (Escaping::Values, c) => {
                let _ = write!(escaped, "_{:x}_", u32::from(c));
            }
            (Escaping::Underscores | Escaping::AllowUtf8, _) => escaped.push('_'),
        }
    }
    if escaped.is_empty() {
        escaped.push('_');
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_client_libraries_do_it() {
        for (name, underscores, dots, values) in [
            ("mail_up", "mail_up", "mail_up", "mail_up"),
            ("mail.queue_size", "mail_queue_size", "mail_dot_queue__size", "U__mail_2e_queue__size"),
            ("Süd", "S_d", "S__d", "U__S_fc_d"),
            ("2xx", "_xx", "__xx", "U___32_xx"),
            ("my \"odd\" name", "my__odd__name", "my____odd____name", "U__my_20__22_odd_22__20_name"),
            ("a:b", "a:b", "a:b", "a:b"),
            ("", "_", "_", "U__"),
        ] {
            let schemes = [Escaping::Underscores, Escaping::Dots, Escaping::Values, Escaping::AllowUtf8];
            let escaped = schemes.map(|escaping| metric_name(Cow::Borrowed(name), escaping).into_owned());
            assert_eq!(escaped, [underscores, dots, values, name], "{name}");
            assert!(escaped[..3].iter().all(|name| is_metric_name(name)), "{name}");
        }
    }
}
