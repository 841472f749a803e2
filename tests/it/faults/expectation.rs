//! Expected series, in one notation for the pull and the push.

use crate::support::flat::Flat;
use std::fmt;

/// A series that is expected, or one that is not: `mail_up{instance=good} 1`, `!up{instance=good}`.
///
/// Only the labels that are given are compared, and the value only if there is one. In a push, `instance` is the target's name.
#[derive(Clone, Copy, Debug)]
pub struct Expectation(pub &'static str);

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.strip_prefix('!') {
            Some(series) => write!(f, "no `{series}`"),
            None => write!(f, "`{}`", self.0),
        }
    }
}

struct Parts<'a> {
    is_expected: bool,
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    value: Option<&'a str>,
}

impl Expectation {
    fn parts(self) -> Parts<'static> {
        let (is_expected, text) = self.0.strip_prefix('!').map_or((true, self.0), |text| (false, text));
        let (series, value) = text.split_once(' ').map_or((text, None), |(series, value)| (series, Some(value)));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('=')).collect();
        Parts { is_expected, name, labels, value }
    }

    /// Returns true if a page of `/metrics` is as expected.
    pub fn holds_on(self, page: &str) -> bool {
        let Parts { is_expected, name, labels, value } = self.parts();
        let is_match = |line: &str| {
            let Some((series, number)) = line.rsplit_once(' ') else { return false };
            let has = |(label, text): &(&str, &str)| series.contains(&format!("{label}=\"{text}\""));
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{')) && labels.iter().all(has) && value.is_none_or(|v| v == number)
        };
        page.lines().any(is_match) == is_expected
    }

    /// Returns true if pushed points are as expected.
    pub fn holds_in(self, points: &[Flat]) -> bool {
        let Parts { is_expected, name, labels, value } = self.parts();
        let is_match = |point: &Flat| {
            let has = |(label, text): &(&str, &str)| match *label {
                "instance" => point.target == *text,
                _ => point.has(&[label, text]),
            };
            let is_equal = |text: &str| text.parse::<f64>().unwrap().total_cmp(&point.value).is_eq();
            point.metric == name && point.flags == 0 && labels.iter().all(has) && value.is_none_or(is_equal)
        };
        points.iter().any(is_match) == is_expected
    }
}
