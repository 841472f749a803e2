//! Checks the keys of a rule that cannot be combined.

use super::canonical::kind_name;
use crate::model::{Attribute, Kind};
use crate::source::{Rule, Transform};
use crate::yaml::{Decoder, Item};

/// The keys of a rule that restrict each other, as far as they are set.
pub(super) struct RuleKeys<'i, 'n> {
    pub fall: Option<&'i Item<'n>>,
    /// `scale` or `unit`.
    pub scale: Option<&'i Item<'n>>,
    pub absent_when_zero: Option<&'i Item<'n>>,
    pub fallback: Option<&'i Item<'n>>,
    pub detail: Option<&'i Item<'n>>,
    /// An attribute that comes from a label.
    pub from_label: Option<&'static Attribute>,
}

/// Reports the keys that cannot be combined. `windowed`: the values of the rule are sums over windows.
pub(super) fn check(decoder: &mut Decoder<'_>, keys: &RuleKeys<'_, '_>, rule: &Rule, windowed: bool) {
    let continues = matches!(rule.transform, Transform::Hold | Transform::Accumulate | Transform::Rebase);
    if let Some(item) = keys.fall.filter(|_| windowed && continues) {
        decoder.report(
            &item.location,
            "is not for a system with windows: a sum of a window is held in its window, and added up once; remove it",
        );
    }
    let is_own_total = matches!(rule.transform, Transform::Accumulate | Transform::Rebase);
    if let Some(item) = keys.fallback.filter(|_| rule.fallback && is_own_total) {
        let message = "cannot be set with fall: accumulate or rebase: each rule has a total of its own, so the counter would fall or be counted twice when another rule produces it; remove one of the two keys";
        decoder.report(&item.location, message);
    }
    if let Some(item) = keys.absent_when_zero.filter(|_| rule.absent_when_zero) {
        check_absent_when_zero(decoder, item, rule);
    }
    if let Some(item) = keys.detail {
        check_detail(decoder, item, keys, rule);
    }
    if let Some(item) = keys.scale {
        check_scale(decoder, item, rule);
    }
}

fn check_absent_when_zero(decoder: &mut Decoder<'_>, item: &Item<'_>, rule: &Rule) {
    let metric = rule.metric;
    if !matches!(metric.kind, Kind::Gauge | Kind::UpDownCounter) {
        let message = format!("is for gauges and up-down counters, and {} is {}", metric.name, kind_name(metric.kind));
        decoder.report(&item.location, message);
    } else if rule.transform != Transform::Unchanged || rule.detail.is_some() {
        let key = if rule.detail.is_some() { "detail" } else { "convert" };
        decoder.report(&item.location, format!("cannot be set with {key}; remove it"));
    }
}

fn check_detail(decoder: &mut Decoder<'_>, item: &Item<'_>, keys: &RuleKeys<'_, '_>, rule: &Rule) {
    if let Some(attribute) = keys.from_label {
        let message = format!(
            "needs attributes with fixed values, by which the total is found, and {} comes from a label; write a rule for each value",
            attribute.key
        );
        decoder.report(&item.location, message);
    }
    if let Some(item) = keys.fallback.filter(|_| rule.fallback) {
        decoder.report(&item.location, "has no effect on a detail, which replaces a total; remove it");
    }
}

fn check_scale(decoder: &mut Decoder<'_>, item: &Item<'_>, rule: &Rule) {
    if matches!(rule.transform, Transform::IsZero | Transform::IsNonZero | Transform::OneMinusShareOf(_)) {
        decoder.report(&item.location, "has no effect, because convert gives a number without a unit; remove it");
    } else if rule.scale <= 0.0 && (matches!(rule.metric.kind, Kind::Gauge | Kind::Histogram) || rule.detail.is_some()) {
        let from = if rule.detail.is_some() { "a detail" } else { kind_name(rule.metric.kind) };
        decoder.report(&item.location, format!("must be greater than 0, because nothing is subtracted from {from}"));
    }
}
