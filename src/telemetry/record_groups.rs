//! The groups into which the delivery records of a target are split: one for each combination of the values of `by`.
//!
//! The first combinations have series of their own while the process lives; all later ones are one group, `_OTHER`. No series is moved or
//! dropped, so no counter ever falls.

use crate::config::RecordDetail;
use crate::model::vocabulary::OTHER;
use crate::model::{Attributes, Record};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashMap;

/// The longest name of a provider, a source or a pool in bytes. A longer one is not a name.
const NAME_BYTES_MAX: usize = 200;

/// The groups of one target.
#[derive(Debug)]
pub(super) struct RecordGroups {
    pub(super) detail: RecordDetail,
    /// The index of each group by its key.
    indices: HashMap<String, usize>,
    /// The attributes of each group. The first one has the records of all further combinations, or of all records without `by`.
    attributes: Vec<Attributes>,
    /// The key of the record at hand, kept to avoid an allocation for each record.
    key: String,
}

impl RecordGroups {
    pub(super) fn new(detail: RecordDetail) -> Self {
        let other = detail.by.iter().map(|dimension| (dimension.attribute, Cow::Borrowed(OTHER))).collect();
        Self { detail, indices: HashMap::new(), attributes: vec![other], key: String::new() }
    }

    /// The index of a record's group.
    pub(super) fn index_of(&mut self, record: &Record) -> usize {
        if self.detail.by.is_empty() {
            return 0;
        }
        self.key.clear();
        let mut has_name = false;
        for dimension in &self.detail.by {
            let name = name(record.field(dimension.field));
            has_name |= name != OTHER;
            // The separator cannot be part of a name, because a name with control characters is not used.
            self.key.push_str(name);
            self.key.push('\0');
        }
        if !has_name {
            return 0;
        }
        if let Some(index) = self.indices.get(&self.key) {
            return *index;
        }
        if self.indices.len() >= self.detail.groups_max {
            return 0;
        }
        let names = self.key.split('\0');
        let named = self.detail.by.iter().zip(names).filter(|(_, name)| !name.is_empty());
        self.attributes.push(named.map(|(dimension, name)| (dimension.attribute, Cow::Owned(name.to_owned()))).collect());
        self.indices.insert(self.key.clone(), self.attributes.len() - 1);
        self.attributes.len() - 1
    }

    /// The attributes of a group.
    pub(super) fn attributes(&self, index: usize) -> &[(&'static crate::model::Attribute, Cow<'static, str>)] {
        self.attributes.get(index).map_or(&[], SmallVec::as_slice)
    }
}

/// The name that a field has, or an empty text if the record does not have the field.
fn name(value: Option<&str>) -> &str {
    match value {
        None => "",
        Some(value) if value.len() > NAME_BYTES_MAX || value.chars().any(char::is_control) => OTHER,
        Some(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RECORD_DIMENSIONS;
    use crate::model::Field;

    fn groups(by: &[&str], groups_max: usize) -> RecordGroups {
        let by = RECORD_DIMENSIONS.iter().filter(|dimension| by.contains(&dimension.name)).collect();
        RecordGroups::new(RecordDetail { by, groups_max })
    }

    fn index(groups: &mut RecordGroups, fields: &[(Field, &str)]) -> (usize, String) {
        let fields = fields.iter().map(|(field, value)| (*field, (*value).to_owned())).collect();
        let index = groups.index_of(&Record { fields, ..Record::default() });
        let attributes = groups.attributes(index).iter().map(|(key, value)| format!("{}={value}", key.key));
        (index, attributes.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_combination_is_a_group() {
        use Field::{Pool, Provider, SendingSource};
        let mut groups = groups(&["source", "provider"], 10);
        let (first, attributes) = index(&mut groups, &[(SendingSource, "ip-1"), (Provider, "Example Mail"), (Pool, "p")]);
        assert_eq!(attributes, "mail.provider.name=Example Mail mail.sending.source=ip-1");
        let (second, _) = index(&mut groups, &[(SendingSource, "ip-2"), (Provider, "Example Mail")]);
        assert_ne!(first, second);
        assert_eq!(index(&mut groups, &[(Provider, "Example Mail"), (SendingSource, "ip-1")]).0, first);
        assert_eq!(index(&mut groups, &[(SendingSource, "ip-1")]).1, "mail.sending.source=ip-1");
        assert_eq!(index(&mut groups, &[]).1, "");
    }

    #[test]
    fn further_combinations_are_counted_together() {
        let mut groups = groups(&["provider"], 2);
        let first = index(&mut groups, &[(Field::Provider, "a")]);
        let second = index(&mut groups, &[(Field::Provider, "b")]);
        for name in ["c", "d"] {
            assert_eq!(index(&mut groups, &[(Field::Provider, name)]), (0, "mail.provider.name=_OTHER".to_owned()));
        }
        assert_eq!([index(&mut groups, &[(Field::Provider, "a")]), index(&mut groups, &[(Field::Provider, "b")])], [first, second]);
        assert_eq!(groups.indices.len(), 2);
    }

    #[test]
    fn what_is_not_a_name_has_no_group_of_its_own() {
        let mut groups = groups(&["provider"], 10);
        for value in ["x".repeat(NAME_BYTES_MAX + 1), "a\0b".to_owned(), "a\nb".to_owned()] {
            assert_eq!(index(&mut groups, &[(Field::Provider, &value)]).1, "mail.provider.name=_OTHER");
        }
        assert_eq!(index(&mut groups, &[(Field::Provider, OTHER)]).0, 0);
        assert_eq!(groups.indices.len(), 0);
    }

    #[test]
    fn without_detail_all_records_are_one_group() {
        let mut groups = groups(&[], 10);
        assert_eq!(index(&mut groups, &[(Field::Provider, "a")]), (0, String::new()));
    }
}
