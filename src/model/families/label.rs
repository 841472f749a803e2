//! The labels of series. A response has few label names, so each of them is stored once, and a label needs eight bytes.

use super::{Families, FamiliesBuilder, Text};
use crate::model::identity::hash;
use crate::model::short_bytes::are_equal;

/// Different label names of one response. A series with a further name is unreadable.
const LABEL_NAMES_MAX: usize = 60_000;

/// A label: its name as an index in the names of the response, and the position of its value.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Label {
    pub name: u16,
    value_len: u16,
    value_start: u32,
}

impl Label {
    /// A label with this value, whose length must fit into 16 bits. The limit of label values ensures that.
    pub(super) const fn new(name: u16, value: Text) -> Self {
        Self { name, value_len: value.len() as u16, value_start: value.start() as u32 }
    }

    /// Sets the start of the value.
    pub(super) const fn move_value(&mut self, start: usize) {
        self.value_start = start as u32;
    }

    /// The value.
    pub(in crate::model) const fn value(self) -> Text {
        Text::new(self.value_start as usize, self.value_len as usize)
    }
}

/// A label name of a response.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct LabelName {
    pub text: Text,
    /// The hash of the name, constant for the lifetime of the process.
    pub hash: u64,
    /// Every version of Prometheus supports the name.
    is_plain: bool,
}

impl LabelName {
    pub(super) fn new(text: Text, name: &[u8]) -> Self {
        Self { text, hash: hash(name), is_plain: is_plain_label_name(name) }
    }
}

/// Returns true if every version of Prometheus supports the label name: letters, digits and underscores.
#[must_use]
pub fn is_plain_label_name(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') && name.first().is_some_and(|first| !first.is_ascii_digit())
}

impl Families {
    /// The name of a label.
    pub(in crate::model) fn label_name(&self, label: Label) -> Text {
        self.names.get(usize::from(label.name)).map(|name| name.text).unwrap_or_default()
    }

    /// The hash of a label's name.
    pub(in crate::model) fn label_name_hash(&self, label: Label) -> u64 {
        self.names.get(usize::from(label.name)).map(|name| name.hash).unwrap_or_default()
    }

    /// Returns true if there is a label whose name not every version of Prometheus supports.
    pub(in crate::model) const fn has_special_label_names(&self) -> bool {
        self.has_special_names
    }

    /// Returns true if every version of Prometheus supports the names of these labels.
    pub(super) fn has_plain_names(&self, labels: &[Label]) -> bool {
        let is_plain = |label: &Label| self.names.get(usize::from(label.name)).is_some_and(|name| name.is_plain);
        !self.has_special_names || labels.iter().all(is_plain)
    }

    /// Stores a label name.
    pub(super) fn push_name(&mut self, name: LabelName) {
        self.has_special_names |= !name.is_plain;
        self.names.push(name);
    }

    /// Adds a label name, after the response was read. Returns `None` if there are too many.
    pub(in crate::model) fn add_label_name(&mut self, name: &str) -> Option<u16> {
        let index = u16::try_from(self.names.len()).ok()?;
        let text = self.add_text(name);
        self.push_name(LabelName::new(text, name.as_bytes()));
        Some(index)
    }
}

impl FamiliesBuilder<'_> {
    /// The index of a label name, which is stored if it is new. `None` if there are too many names.
    #[inline]
    pub(super) fn name_index(&mut self, name: Text) -> Option<u16> {
        // The label at the same place of the last series nearly always has the same name.
        let place = self.out.labels.len() - self.end_of_labels();
        let last = self.out.samples.last().filter(|last| place < usize::from(last.labels_len));
        let likely = last.and_then(|last| self.out.labels.get(last.labels as usize + place)).map(|label| label.name);
        likely.filter(|index| self.is_stored_as(*index, name)).or_else(|| self.store_name(name))
    }

    /// Returns true if the label name with this index is equal to `name`.
    fn is_stored_as(&self, index: u16, name: Text) -> bool {
        let stored = self.out.names.get(usize::from(index)).map(|stored| stored.text);
        stored.is_some_and(|stored| stored == name || are_equal(self.bytes(stored), self.bytes(name)))
    }

    #[cold]
    fn store_name(&mut self, name: Text) -> Option<u16> {
        let new = LabelName::new(name, self.bytes(name));
        let mut key = new.hash;
        while let Some(index) = self.name_indices.get(&key) {
            if self.is_stored_as(*index, name) {
                return Some(*index);
            }
            key = key.wrapping_add(1);
        }
        let index = self.out.names.len();
        (index < LABEL_NAMES_MAX).then(|| {
            self.out.push_name(new);
            self.name_indices.insert(key, index as u16);
            index as u16
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::format::prometheus;
    use crate::model::Repair;

    #[test]
    fn a_series_beyond_the_number_of_label_names_is_dropped() {
        let mut page: String = (0..LABEL_NAMES_MAX + 2).map(|n| format!("x{{l{n}=\"{n}\"}} 1\n")).collect();
        page += "x{l7=\"a\",l8=\"b\"} 2\nx{l9=\"c\",new=\"d\"} 3\n";
        let families = prometheus::read(page).unwrap();
        assert_eq!((families.series(), families.repairs().get(Repair::TooManyLabels)), (LABEL_NAMES_MAX + 1, 3));
        let last = families.sample(LABEL_NAMES_MAX as u32).unwrap();
        assert_eq!(last.labels().collect::<Vec<_>>(), [("l7", "a"), ("l8", "b")]);
    }

    #[test]
    fn plain_names_have_letters_digits_and_underscores() {
        for (name, is_plain) in
            [("a", true), ("_a9", true), ("A_", true), ("9a", false), ("", false), ("a:b", false), ("ä", false), ("a.b", false)]
        {
            assert_eq!(is_plain_label_name(name.as_bytes()), is_plain, "{name}");
        }
    }
}
