//! Decodes the rules of a part.

use super::attribute::{self, Attributes};
use super::canonical::{self, kind_name};
use super::combination::{self, RuleKeys};
use super::limits::VALUES_MAX;
use super::memory::Memory;
use super::schema::{CONVERT, DETAIL, RULE};
use super::{pattern, unit};
use crate::model::{Attribute, Kind, Metric};
use crate::source::{Rule, Take, Transform};
use crate::yaml::schema::names;
use crate::yaml::{Decoder, Item, Location, Map, Value};

pub(super) const TAKES: &[(&str, Take)] = &[("value", Take::Value), ("count", Take::Count), ("sum", Take::Sum)];
pub(super) const FALLS: &[(&str, Transform)] =
    &[("reset", Transform::Unchanged), ("hold", Transform::Hold), ("accumulate", Transform::Accumulate), ("rebase", Transform::Rebase)];
pub(super) const CONVERSIONS: &[(&str, Transform)] =
    &[("age", Transform::Age), ("is_zero", Transform::IsZero), ("is_nonzero", Transform::IsNonZero)];

/// Decodes a rule. Its families are added to `rule_families`. `windowed`: its values are sums over windows.
pub(super) fn decode<'n>(
    decoder: &mut Decoder<'_>,
    memory: Memory,
    item: &Item<'n>,
    windowed: bool,
    rule_families: &mut Vec<&'n str>,
) -> Option<Rule> {
    let mut map = decoder.map(item, RULE)?;
    let families = pattern::family_or_families(decoder, &mut map);
    let when = map.take("when").map(|item| pattern::labels(decoder, &item)).unwrap_or_default();
    let unless = map.take("unless").map(|item| pattern::labels(decoder, &item)).unwrap_or_default();
    let unlabelled = map.take("unlabelled").and_then(|item| decoder.flag(&item)).unwrap_or(false);
    let (fall, convert) = (map.take("fall"), map.take("convert"));
    let zero_when_absent = map.take("zero_when_absent");
    let expected_kind = expected_kind(fall.as_ref(), convert.as_ref(), zero_when_absent.as_ref());
    let metric_item = map.take_required(decoder, "metric");
    let metric = metric_item.as_ref().and_then(|item| {
        let name = decoder.raw_text(item)?;
        decoder.ok_or_report_value(item, canonical::metric(name, expected_kind))
    });
    let take_item = map.take("take");
    let take = take_item.as_ref().and_then(|item| decoder.choice(item, TAKES)).unwrap_or_default();
    let (scale, scale_item) = decode_scale(decoder, &mut map, metric);
    let is_zero_when_absent = zero_when_absent.as_ref().and_then(|item| decoder.flag(item)).unwrap_or(false);
    let absent_when_zero_item = map.take("absent_when_zero");
    let absent_when_zero = absent_when_zero_item.as_ref().and_then(|item| decoder.flag(item)).unwrap_or(false);
    let fallback_item = map.take("fallback");
    let fallback = fallback_item.as_ref().and_then(|item| decoder.flag(item)).unwrap_or(false);
    let transform = decode_transform(decoder, memory, metric, fall.as_ref(), convert.as_ref());
    let attributes = map.take("attributes");
    let attributes = attributes.map(|item| attribute::decode(decoder, memory, &item, metric));
    let attributes = attributes.unwrap_or(Attributes { are_known: true, ..Attributes::default() });
    let detail_item = map.take("detail");
    let detail = detail_item.as_ref().and_then(|item| decode_detail(decoder, item, metric));
    let replaces_item = map.take("replaces");
    let replaces = replaces_item.as_ref().map(|item| decode_replaces(decoder, memory, item, metric)).unwrap_or_default();
    let location = map.location.clone();
    decoder.finish(map);

    let metric = metric?;
    if let Some(item) = take_item.filter(|_| take != Take::Value && metric.kind == Kind::Histogram) {
        decoder.report_value(&item, format!("count and sum are numbers, and {} is a histogram; remove take", metric.name));
    }
    if let Some(item) = zero_when_absent.filter(|_| is_zero_when_absent) {
        check_zero_when_absent(decoder, &item, metric, &attributes);
    }
    if let Some(item) = replaces_item.filter(|_| detail.is_none()) {
        decoder.report(&item.location, "is for rules with a detail");
    }
    check_attributes(decoder, &location, metric, &attributes, transform);
    let with = attributes.fixed.iter().map(|(attribute, value)| (*attribute, memory.text(value))).collect();
    rule_families.extend(&families);
    let from_label = attributes.from.first().map(|from| from.attribute);
    let rule = Rule {
        families: memory.texts(&families),
        metric,
        when: memory.pairs(&when),
        unless: memory.pairs(&unless),
        unlabelled,
        with: memory.list(with),
        from: memory.list(attributes.from),
        take,
        scale,
        zero_when_absent: is_zero_when_absent,
        absent_when_zero,
        fallback,
        transform,
        detail: detail.map(|(label, attribute)| (memory.text(label), attribute)),
        replaces: memory.list(replaces),
    };
    let keys = RuleKeys {
        fall: fall.as_ref(),
        scale: scale_item.as_ref(),
        absent_when_zero: absent_when_zero_item.as_ref(),
        fallback: fallback_item.as_ref(),
        detail: detail_item.as_ref().filter(|_| detail.is_some()),
        from_label,
    };
    combination::check(decoder, &keys, &rule, windowed);
    Some(rule)
}

/// The kind of metric that the other keys of a rule need, to suggest one.
fn expected_kind(fall: Option<&Item<'_>>, convert: Option<&Item<'_>>, zero_when_absent: Option<&Item<'_>>) -> Option<Kind> {
    let text = |item: Option<&Item<'_>>| match item.map(|item| &item.node.value) {
        Some(Value::Scalar(text)) => text.clone(),
        _ => String::new(),
    };
    if fall.is_some() || text(zero_when_absent) == "true" {
        Some(Kind::Counter)
    } else if text(convert) == "age" || convert.is_some_and(|item| matches!(item.node.value, Value::Map(_))) {
        Some(Kind::Gauge)
    } else {
        None
    }
}

/// Decodes the factor, and returns the item that sets it.
fn decode_scale<'n>(decoder: &mut Decoder<'_>, map: &mut Map<'n>, metric: Option<&Metric>) -> (f64, Option<Item<'n>>) {
    let (scale, unit) = (map.take("scale"), map.take("unit"));
    let item = scale.clone().or_else(|| unit.clone());
    if let (Some(_), Some(unit)) = (&scale, &unit) {
        decoder.report(&unit.location, "scale and unit cannot both be set");
    }
    let scale = scale.and_then(|item| {
        let text = decoder.raw_text(&item)?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        decoder.ok_or_report_value(&item, number.ok_or_else(|| format!("{text} is not a number")))
    });
    let factor = unit.and_then(|item| {
        let text = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, unit::factor(text, metric))
    });
    (scale.or(factor).unwrap_or(1.0), item)
}

fn decode_transform(
    decoder: &mut Decoder<'_>,
    memory: Memory,
    metric: Option<&Metric>,
    fall: Option<&Item<'_>>,
    convert: Option<&Item<'_>>,
) -> Transform {
    let falls = fall.and_then(|item| decoder.choice(item, FALLS)).unwrap_or(Transform::Unchanged);
    if let (Some(item), Some(metric)) = (fall, metric)
        && falls != Transform::Unchanged
        && metric.kind != Kind::Counter
    {
        decoder.report_value(item, format!("is for counters, and {} is {}", metric.name, kind_name(metric.kind)));
    }
    let Some(item) = convert else { return falls };
    if falls != Transform::Unchanged {
        decoder.report(&item.location, "convert and fall cannot both be set");
    }
    let converts = match item.node.value {
        Value::Map(_) => decode_share(decoder, memory, item),
        _ => decoder.choice(item, CONVERSIONS),
    };
    let Some(converts) = converts else { return Transform::Unchanged };
    let Some(metric) = metric else { return converts };
    let (fits, expected) = match converts {
        Transform::Age => (metric.kind == Kind::Gauge && metric.unit == "s", "gauges with the unit s"),
        Transform::OneMinusShareOf(_) => (metric.kind == Kind::Gauge && metric.unit == "1", "gauges with the unit 1"),
        _ => (matches!(metric.kind, Kind::Gauge | Kind::UpDownCounter), "gauges and up-down counters"),
    };
    if !fits {
        let unit = if metric.unit.is_empty() { String::new() } else { format!(" with the unit {}", metric.unit) };
        let message = format!("is for {expected}, and {} is {}{unit}", metric.name, kind_name(metric.kind));
        decoder.report_value(item, message);
    }
    converts
}

fn decode_share(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<Transform> {
    let mut map = decoder.map(item, CONVERT)?;
    let share = map.take("one_minus_share_of");
    if share.is_none() {
        decoder.report(&map.location, format!("expected {{one_minus_share_of: FAMILY}}, or one of: {}", names(CONVERSIONS).join(", ")));
    }
    decoder.finish(map);
    let family = share.and_then(|item| pattern::family(decoder, &item))?;
    Some(Transform::OneMinusShareOf(memory.text(family)))
}

fn decode_detail<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>, metric: Option<&Metric>) -> Option<(&'n str, &'static Attribute)> {
    let mut map = decoder.map(item, DETAIL)?;
    let label = map.take_required(decoder, "label").and_then(|item| pattern::name(decoder, &item));
    let attribute = map.take_required(decoder, "attribute").and_then(|item| {
        let key = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, canonical::detail(metric?, key))
    });
    decoder.finish(map);
    if let Some(metric) = metric.filter(|metric| metric.kind != Kind::UpDownCounter) {
        decoder.report(&item.location, format!("is for up-down counters, and {} is {}", metric.name, kind_name(metric.kind)));
    }
    label.zip(attribute)
}

type FixedAttributes = &'static [(&'static Attribute, &'static str)];

fn decode_replaces(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>, metric: Option<&Metric>) -> Vec<FixedAttributes> {
    let items = decoder.bounded_list(item, VALUES_MAX);
    let mut totals = Vec::new();
    for item in &items {
        let mut total = Vec::new();
        for (key, item) in decoder.user_map(item) {
            let Some(metric) = metric else { continue };
            let Some(attribute) = decoder.ok_or_report(&item.location, canonical::attribute(metric, key)) else { continue };
            total.extend(attribute::decode_value(decoder, &item, attribute).map(|value| (attribute, memory.text(value))));
        }
        totals.push(memory.list(total));
    }
    totals
}

fn check_zero_when_absent(decoder: &mut Decoder<'_>, item: &Item<'_>, metric: &Metric, attributes: &Attributes<'_>) {
    if metric.kind != Kind::Counter {
        let message = format!("is for counters, and {} is {}: a missing value is not 0", metric.name, kind_name(metric.kind));
        decoder.report(&item.location, message);
    } else if !attributes.are_known {
        decoder.report(
            &item.location,
            "needs a table (`values`) for each attribute that comes from a label: without it, the points that are 0 are not known",
        );
    }
}

/// Checks that the rule sets the attributes that points of its metric need.
fn check_attributes(decoder: &mut Decoder<'_>, location: &Location, metric: &Metric, attributes: &Attributes<'_>, transform: Transform) {
    let missing: Vec<&str> =
        metric.required_attributes().filter(|attribute| !attributes.set.contains(attribute)).map(|attribute| attribute.key).collect();
    if !missing.is_empty() {
        decoder.report(location, format!("{} needs the attributes {}", metric.name, missing.join(", ")));
    }
    if let (Transform::OneMinusShareOf(_), Some(attribute)) = (transform, attributes.set.first()) {
        decoder.report(location, format!("one_minus_share_of gives one value, so {} cannot be set", attribute.key));
    }
}
