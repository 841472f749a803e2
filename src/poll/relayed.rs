//! What of a reading is passed on in the server's own words, as the target's `relay:` has it.

use crate::config;
use crate::model::{Choice, Families, FamilyType, Native};
use crate::source::Source;

/// The families of these pages that are passed on.
#[must_use]
pub fn relayed(source: &Source, relay: &config::Relay, pages: Vec<Families>) -> Native {
    Native::choose(pages, &relay.prefix, relay.series_max, |family| {
        let kind = source.mistyped_counters.contains(&family).then_some(FamilyType::Counter);
        relay.passes(family).then(|| Choice { kind, min_value: relay.min_value(family) })
    })
}
