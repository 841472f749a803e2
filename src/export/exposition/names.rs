//! Names of metrics and labels. Names with characters other than letters, digits and underscores are quoted or escaped, as the client
//! requests.

use crate::model::{METRIC_NAME_LABEL, SampleRef, escaped_by_values, is_plain_label_name, is_scope_label, is_supported_in_metric_name};
use std::borrow::Cow;

/// The escaping of names that Prometheus before version 3 does not support: the parameter `escaping` of `Accept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// `underscores`: each unsupported character becomes an underscore.
    #[default]
    Underscores,
    /// `dots`: `.` becomes `_dot_`, `_` becomes `__`, and each unsupported character becomes `__`.
    Dots,
    /// `values`: the prefix `U__`, and each unsupported character becomes its code point between underscores.
    Values,
    /// `allow-utf-8`: names are quoted and not changed.
    AllowUtf8,
}

impl Escaping {
    /// Returns the scheme with this name in `Accept`.
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

/// Returns true if every version of Prometheus supports the metric name.
pub(super) fn is_metric_name(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':';
    name.bytes().next().is_some_and(first) && name.bytes().all(|b| first(b) || b.is_ascii_digit())
}

/// Returns true if every version of Prometheus supports the label name.
pub(super) fn is_label_name(name: &str) -> bool {
    is_plain_label_name(name.as_bytes())
}

/// Returns true if the name of a metric is the same on a page.
pub(super) fn is_unchanged(name: &str, escaping: Escaping) -> bool {
    escaping == Escaping::AllowUtf8 || is_metric_name(name)
}

/// Returns the name of a metric on a page.
pub(super) fn metric_name<'a>(name: Cow<'a, str>, escaping: Escaping) -> Cow<'a, str> {
    if is_unchanged(&name, escaping) { name } else { Cow::Owned(escape(&name, escaping)) }
}

/// Returns the escaped names of a series' labels, or `None` if no name needs escaping. An escaped name never equals another label of
/// the series or `__name__`.
pub(super) fn escaped_label_names(sample: &SampleRef<'_>, escaping: Escaping) -> Option<Vec<String>> {
    if escaping == Escaping::AllowUtf8 || sample.has_plain_label_names() {
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(sample.labels().len());
    for (label, _) in sample.labels() {
        let mut name = label.to_owned();
        if !is_label_name(label) {
            name = label_name(label, escaping).into_owned();
            // Labels of the scope may be added.
            while name == METRIC_NAME_LABEL
                || is_scope_label(name.as_bytes())
                || names.contains(&name)
                || sample.labels().any(|(other, _)| other == name)
            {
                name.insert(0, '_');
            }
        }
        names.push(name);
    }
    Some(names)
}

/// Returns the name of a label on a page.
pub(super) fn label_name(label: &str, escaping: Escaping) -> Cow<'_, str> {
    if escaping == Escaping::AllowUtf8 || is_label_name(label) {
        return Cow::Borrowed(label);
    }
    // Labels cannot have colons, which the schemes do not escape.
    Cow::Owned(escape(label, escaping).replace(':', "_"))
}

/// Escapes a name as the Prometheus client libraries do. The result is supported by every version.
fn escape(name: &str, escaping: Escaping) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    if escaping == Escaping::Values {
        return escaped_by_values(name);
    }
    for (at, c) in name.chars().enumerate() {
        let is_supported = is_supported_in_metric_name(at, c);
        match (escaping, c) {
            (Escaping::Dots, '_') => escaped.push_str("__"),
            (Escaping::Dots, '.') => escaped.push_str("_dot_"),
            (_, c) if is_supported => escaped.push(c),
            (Escaping::Dots, _) => escaped.push_str("__"),
            (Escaping::Underscores | Escaping::Values | Escaping::AllowUtf8, _) => escaped.push('_'),
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
    fn names_are_escaped_like_in_client_libraries() {
        for (name, underscores, dots, values) in [
            ("mail_up", "mail_up", "mail_up", "mail_up"),
            ("mail.queue_size", "mail_queue_size", "mail_dot_queue__size", "U__mail_2e_queue__size"),
            ("Süd", "S_d", "S__d", "U__S_fc_d"),
            ("2xx", "_xx", "__xx", "U___32_xx"),
            ("my \"quoted\" name", "my__quoted__name", "my____quoted____name", "U__my_20__22_quoted_22__20_name"),
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
