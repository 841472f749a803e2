//! The detail of metrics that are counted from delivery records: `by` and `groups_max` of the part.

use super::decode::Decoder;
use super::map::Map;
use super::text::suggestion;
use crate::model::vocabulary::{PROVIDER_NAME, SENDING_POOL, SENDING_SOURCE};
use crate::model::{Attribute, Field};

/// The default of `groups_max`.
pub const GROUPS_DEFAULT: usize = 100;
/// The largest `groups_max`. Each group has a histogram and up to a dozen counters.
pub const GROUPS_MAX: usize = 999;

/// A field of records by whose values metrics can be split.
#[derive(Debug)]
pub struct RecordDimension {
    /// Its name in `by`.
    pub name: &'static str,
    /// The field.
    pub field: Field,
    /// The attribute of the metrics.
    pub attribute: &'static Attribute,
}

/// The values of `by`.
pub static RECORD_DIMENSIONS: &[RecordDimension] = &[
    RecordDimension { name: "provider", field: Field::Provider, attribute: &PROVIDER_NAME },
    RecordDimension { name: "source", field: Field::SendingSource, attribute: &SENDING_SOURCE },
    RecordDimension { name: "pool", field: Field::Pool, attribute: &SENDING_POOL },
];

/// The attributes by which metrics from records are split, with their limits.
#[derive(Clone, Debug)]
pub struct RecordDetail {
    /// Key `by`: the fields, in the order of [`RECORD_DIMENSIONS`]. Each series has the values of all of them.
    pub by: Vec<&'static RecordDimension>,
    /// Key `groups_max`: the number of different combinations of values that have series of their own.
    pub groups_max: usize,
}

impl Default for RecordDetail {
    fn default() -> Self {
        Self { by: Vec::new(), groups_max: GROUPS_DEFAULT }
    }
}

impl RecordDetail {
    /// The number of groups, of which one has the records of all further combinations.
    #[must_use]
    pub fn groups(&self) -> usize {
        if self.by.is_empty() { 1 } else { self.groups_max + 1 }
    }

    /// Returns `true` if both split by the same fields.
    #[must_use]
    pub fn is_by_same(&self, other: &Self) -> bool {
        self.by.iter().map(|dimension| dimension.name).eq(other.by.iter().map(|dimension| dimension.name))
    }

    /// Decodes the two keys, which must be in the schema of the map: `RECORD_BY` and `RECORD_GROUPS_MAX`.
    pub(super) fn decode_keys(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Self {
        let item = map.take("by");
        let groups_max = map.integer_or_default(decoder, "groups_max");
        let names: Vec<&str> = RECORD_DIMENSIONS.iter().map(|dimension| dimension.name).collect();
        let mut chosen = Vec::new();
        for item in item.and_then(|item| decoder.list(&item)).unwrap_or_default() {
            let Some(name) = decoder.non_empty_text(&item) else { continue };
            let found = names.iter().find(|known| **known == name).copied();
            let found = found.ok_or_else(|| format!("records cannot be split by {name}; {}", suggestion(&name, &names)));
            chosen.extend(decoder.ok_or_report(&item.location, found));
        }
        let by = RECORD_DIMENSIONS.iter().filter(|dimension| chosen.contains(&dimension.name)).collect();
        Self { by, groups_max }
    }
}
