//! Passthrough: the selection of native metrics that are forwarded, as the target's `relay:` configures it.

use crate::config;
use crate::model::{Families, FamilySelection, FamilyType, SelectedFamilies};
use crate::source::{Rule, Source, Transform};

/// Selects the families of these pages that are forwarded.
#[must_use]
pub fn select_native(source: &Source, passthrough: &config::Passthrough, pages: Vec<Families>) -> SelectedFamilies {
    let restored: Vec<&Rule> = source.rules().map(|(_, rule)| rule).filter(|rule| rule.transform == Transform::Rebase).collect();
    SelectedFamilies::select(pages, &passthrough.prefix, passthrough.series_max, |family| {
        let kind = source.mistyped_counters.contains(&family).then_some(FamilyType::Counter);
        // The total of a detail comes from another rule, and only that one matters.
        let is_mapped = || source.rules().any(|(_, rule)| rule.detail.is_none() && rule.families.contains(&family));
        passthrough.includes(family).then(|| FamilySelection {
            kind,
            min_value: passthrough.min_value(family),
            is_mapped: is_mapped(),
            may_underflow: source.gauges_underflow,
            are_restored: restored.iter().any(|rule| rule.reads(family)),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;
    use crate::model::Repair;
    use crate::source::{Context, CounterMemory, by_name, map_to_canonical};
    use std::time::SystemTime;

    #[test]
    fn counters_that_a_rule_rebases_are_restored_by_the_server() {
        let page = "# TYPE rspamd_actions_total counter\nrspamd_actions_total{type=\"reject\"} 1\n# TYPE other counter\nother_total 1\n";
        let native =
            select_native(by_name("rspamd").unwrap(), &config::Passthrough::default(), vec![prometheus::read(page.to_owned()).unwrap()]);
        let own_starts: Vec<_> = native.families().map(|family| (family.native_name().to_owned(), family.has_own_start())).collect();
        assert_eq!(own_starts, [("other_total".to_owned(), false), ("rspamd_actions_total".to_owned(), true)]);
    }

    #[test]
    fn a_gauge_below_zero_is_repaired_once_by_rule_or_passthrough() {
        let page = "# TYPE smtp_active_connections gauge\nsmtp_active_connections 18446744073709551615\n# TYPE other gauge\nother 18446744073709551614\n";
        let none = config::Passthrough { enabled: false, ..config::Passthrough::default() };
        for (system, relay, counted) in [("stalwart", config::Passthrough::default(), (1, 1)), ("stalwart", none.clone(), (1, 0))] {
            let (source, read) = (by_name(system).unwrap(), prometheus::read(page.to_owned()).unwrap());
            let read = [(source.required(), read)];
            let context = Context::at(SystemTime::UNIX_EPOCH);
            let snapshot = map_to_canonical(source, &read, &mut CounterMemory::default(), &context);
            let native = select_native(source, &relay, read.into_iter().map(|(_, families)| families).collect());
            let underflows = (snapshot.repairs.get(Repair::Underflow), native.repairs.get(Repair::Underflow));
            assert_eq!(underflows, counted, "{system} {relay:?}");
            assert_eq!((native.kept, native.dropped), (0, 2));
        }
        let native = select_native(
            by_name("prometheus").unwrap(),
            &config::Passthrough::default(),
            vec![prometheus::read(page.to_owned()).unwrap()],
        );
        assert_eq!((native.kept, native.dropped), (2, 0), "a generic endpoint's gauges are not repaired");
    }
}
