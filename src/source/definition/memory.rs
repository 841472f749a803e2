//! Memory that lives as long as the process: a definition is loaded once and used without limit of time.

/// The treatment of decoded values.
///
/// A file is decoded twice: the first time to find its problems, which keeps nothing, so that an invalid file does not use memory for ever;
/// the second time to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Nothing is kept: texts and lists are empty.
    Discard,
    /// Everything is kept until the process ends.
    Keep,
}

impl Memory {
    /// Keeps a text.
    pub(super) fn text(self, text: &str) -> &'static str {
        match self {
            Self::Keep if !text.is_empty() => Box::leak(text.into()),
            _ => "",
        }
    }

    /// Keeps a list.
    pub(super) fn list<T>(self, list: Vec<T>) -> &'static [T] {
        match self {
            Self::Keep if !list.is_empty() => Box::leak(list.into_boxed_slice()),
            _ => &[],
        }
    }

    /// Keeps a list of texts.
    pub(super) fn texts(self, texts: &[&str]) -> &'static [&'static str] {
        self.list(texts.iter().map(|text| self.text(text)).collect())
    }

    /// Keeps pairs of texts.
    pub(super) fn pairs(self, pairs: &[(&str, &str)]) -> &'static [(&'static str, &'static str)] {
        self.list(pairs.iter().map(|(first, second)| (self.text(first), self.text(second))).collect())
    }
}
