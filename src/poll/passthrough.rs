//! What of a reading is passed on in the server's own words, as the target's `relay:` has it.

use crate::config;
use crate::model::{Families, FamilySelection, FamilyType, SelectedFamilies};
use crate::source::Source;

/// The families of these pages that are passed on.
#[must_use]
pub fn relayed(source: &Source, relay: &config::Relay, pages: Vec<Families>) -> SelectedFamilies {
    SelectedFamilies::select(pages, &relay.prefix, relay.series_max, |family| {
        let kind = source.mistyped_counters.contains(&family).then_some(FamilyType::Counter);
        // A detail has its total from another rule, which is what counts.
        let is_mapped = || source.rules().any(|(_, rule)| rule.detail.is_none() && rule.families.contains(&family));
        relay.passes(family).then(|| FamilySelection {
            kind,
            min_value: relay.min_value(family),
            is_mapped: is_mapped(),
            may_underflow: source.gauges_underflow,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;
    use crate::model::Repair;
    use crate::source::{Context, CounterMemory, apply, by_name};
    use std::time::SystemTime;

    #[test]
    fn a_gauge_below_zero_is_counted_once_whoever_reads_it() {
        let page = "# TYPE smtp_active_connections gauge\nsmtp_active_connections 18446744073709551615\n# TYPE other gauge\nother 18446744073709551614\n";
        let none = config::Relay { enabled: false, ..config::Relay::default() };
        for (system, relay, counted) in [("stalwart", config::Relay::default(), (1, 1)), ("stalwart", none.clone(), (1, 0))] {
            let (source, read) = (by_name(system).unwrap(), prometheus::read(page.to_owned()).unwrap());
            let read = [(source.required(), read)];
            let context = Context { now: SystemTime::UNIX_EPOCH, window_start: None, sliding: false, detail: None, of_records: &[] };
            let snapshot = apply(source, &read, &mut CounterMemory::default(), &context);
            let native = relayed(source, &relay, read.into_iter().map(|(_, families)| families).collect());
            let underflows = (snapshot.repairs.get(Repair::Underflow), native.repairs.get(Repair::Underflow));
            assert_eq!(underflows, counted, "{system} {relay:?}");
            assert_eq!((native.kept, native.dropped), (0, 2));
        }
        let native = relayed(by_name("prometheus").unwrap(), &config::Relay::default(), vec![prometheus::read(page.to_owned()).unwrap()]);
        assert_eq!((native.kept, native.dropped), (2, 0), "of a generic endpoint they are readings");
    }
}
