//! The reasons why values of families are not known, for `explain`.

use super::{Families, FamiliesBuilder};

/// The largest number of reasons of one response: the first ones are kept.
const REASONS_MAX: usize = 32;
/// The largest number of them that concern one family.
const REASONS_PER_FAMILY_MAX: usize = 4;

/// The reason why a value of a family is not known.
#[derive(Clone, Debug)]
pub(super) struct UnreadableReason {
    family: Box<str>,
    /// The labels of the series, as [`label_text`] has them. Empty: the reason concerns the family.
    labels: Box<str>,
    reason: Box<str>,
}

/// The largest length of the text of labels.
const LABEL_TEXT_BYTES_MAX: usize = 200;

/// Returns labels as `name="value"`, separated by commas, up to a limit.
#[must_use]
pub fn label_text<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        text.push_str(if text.is_empty() { "" } else { "," });
        for character in [name, "=\"", value, "\""].into_iter().flat_map(str::chars) {
            if text.len() + character.len_utf8() > LABEL_TEXT_BYTES_MAX {
                return text;
            }
            text.push(character);
        }
    }
    text
}

impl FamiliesBuilder<'_> {
    /// Notes why a value of a family cannot be read. The first reason of a family is kept.
    pub fn explain_unreadable(&mut self, family: &str, reason: impl FnOnce() -> String) {
        self.explain_unreadable_series(family, String::new, reason);
    }

    /// Notes why the series of a family with these labels ([`label_text`]) cannot be read. The first reason of a series is kept.
    pub fn explain_unreadable_series(&mut self, family: &str, labels: impl FnOnce() -> String, reason: impl FnOnce() -> String) {
        let reasons = &mut self.out.unreadable_reasons;
        let of_family = reasons.iter().filter(|known| *known.family == *family).count();
        if reasons.len() == REASONS_MAX || of_family == REASONS_PER_FAMILY_MAX {
            return;
        }
        let labels = labels();
        if !reasons.iter().any(|known| *known.family == *family && *known.labels == *labels) {
            reasons.push(UnreadableReason { family: family.into(), labels: labels.into(), reason: reason().into() });
        }
    }
}

impl Families {
    /// The reason why a value of a family cannot be read, with text of the server.
    #[must_use]
    pub fn unreadable_reason(&self, family: &str) -> Option<&str> {
        self.unreadable_reasons(family).next().map(|(_, reason)| reason)
    }

    /// The reasons why values of a family cannot be read, each with the labels of its series ([`label_text`]), or an empty text.
    pub fn unreadable_reasons(&self, family: &str) -> impl Iterator<Item = (&str, &str)> {
        self.unreadable_reasons.iter().filter(move |known| *known.family == *family).map(|known| (&*known.labels, &*known.reason))
    }

    /// Returns true if the value NaN stands for one that is not known, which the reader has counted as a repair.
    #[must_use]
    pub fn has_unknown_values(&self) -> bool {
        !self.unreadable_reasons.is_empty()
    }

    /// The memory of the reasons in bytes.
    pub(super) fn unreadable_reasons_bytes(&self) -> usize {
        let texts: usize = self.unreadable_reasons.iter().map(|known| known.family.len() + known.labels.len() + known.reason.len()).sum();
        texts + self.unreadable_reasons.capacity() * size_of::<UnreadableReason>()
    }
}
