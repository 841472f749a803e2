//! Names that native families cannot have: those of canonical metrics and self-metrics, and `up`.
//!
//! The names are reserved even if the page does not have the metric. Alerts and dashboards identify a metric by its name, so a server
//! that exposes `mail_up` or `postmeter_build_info` would be mistaken for Postmeter when a poll fails or the system has no such metric.

use super::names::{Escaping, metric_name};
use super::{Format, PageSettings, ReservedNames};
use crate::model::{FamilyType, Kind, TARGET_INFO, TranslationStrategy, vocabulary};
use crate::telemetry::SELF_METRICS;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The prefix of nearly all self-metrics.
const SELF_PREFIX: &str = "postmeter_";
/// The metric that Prometheus records for each scrape.
const UP: &str = "up";

/// The reserved names of pages with these translations, in text, OpenMetrics and JSON.
static RESERVED: LazyLock<Vec<(TranslationStrategy, [ReservedNames; 3])>> = LazyLock::new(|| {
    let formats = [Format::Text, Format::OpenMetrics(Escaping::Underscores), Format::Json];
    let names = |translation| formats.map(|format| reserved_names(&PageSettings { translation, ..format.into() }));
    TranslationStrategy::ALL.iter().map(|(_, translation)| (*translation, names(*translation))).collect()
});

/// Returns true if the name is reserved. The escaping of the page is irrelevant: the name with underscores is compared.
#[must_use]
pub fn is_reserved(settings: impl Into<PageSettings>, name: &str, kind: FamilyType) -> bool {
    let settings = settings.into();
    let name = metric_name(Cow::Borrowed(name), Escaping::Underscores);
    if name.starts_with(SELF_PREFIX) {
        return true;
    }
    let by_format = RESERVED.iter().find(|(translation, _)| *translation == settings.translation);
    let reserved = by_format.map(|(_, [text, open_metrics, json])| match settings.format {
        Format::Text | Format::TextV1(_) | Format::Protobuf(_) => text,
        Format::OpenMetrics(_) => open_metrics,
        Format::Json => json,
    });
    reserved.is_some_and(|reserved| reserved.conflicts_with(&settings, &name, kind))
}

fn reserved_names(settings: &PageSettings) -> ReservedNames {
    let mut reserved = ReservedNames::default();
    for metric in vocabulary::ALL.iter().chain(SELF_METRICS) {
        let kind = match metric.kind {
            Kind::Counter => FamilyType::Counter,
            Kind::UpDownCounter | Kind::Gauge => FamilyType::Gauge,
            Kind::Histogram => FamilyType::Histogram,
        };
        let name = metric_name(Cow::Owned(settings.translation.name_of(metric)), Escaping::Underscores);
        reserved.add(settings, name.into_owned(), kind);
    }
    for name in [UP, TARGET_INFO] {
        reserved.add(settings, name.to_owned(), FamilyType::Gauge);
    }
    reserved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::SelfTelemetry;
    use std::time::Duration;

    #[test]
    fn the_names_of_self_metrics_are_reserved() {
        let telemetry = SelfTelemetry::quiet().unwrap();
        telemetry.served("/metrics", 200, Duration::ZERO);
        telemetry.changed("family_dropped", 1);
        telemetry.export.exported(1, None);
        telemetry.export.attempted(None, Duration::ZERO);
        telemetry.export.waiting(1);
        telemetry.export.retried("timeout");
        let (_, families) = telemetry.gather(TranslationStrategy::default());
        assert!(families.len() >= 7, "{}", families.len());
        for family in families.families() {
            assert!(is_reserved(Format::Text, &family.name(), FamilyType::Unknown), "{}", family.name());
        }
    }

    #[test]
    fn names_of_metrics_and_of_their_lines_are_reserved() {
        use FamilyType::{Counter, Gauge, Histogram, Unknown};
        let (text, open_metrics) = (Format::Text, Format::OpenMetrics(Escaping::AllowUtf8));
        for (format, name, kind, reserved) in [
            (text, "up", Unknown, true),
            (text, "ups", Unknown, false),
            (text, "mail_up", Gauge, true),
            (text, "mail.up", Gauge, true),
            (open_metrics, "mail.queue.depth", Gauge, true),
            (text, "mail_queue_length", Gauge, false),
            (text, "mail_bounces_total", Counter, true),
            (text, "mail_bounces", Counter, false),
            (open_metrics, "mail_bounces", Counter, true),
            (text, "mail_delivery_duration_seconds", Histogram, true),
            (text, "mail_delivery_duration_seconds_count", Gauge, true),
            (text, "mail_delivery_duration", Gauge, false),
            (Format::Json, "mail_delivery_duration_seconds_count", Gauge, false),
            (text, "http_server_request_duration_seconds", Histogram, true),
            (text, "postmeter_whatever", Gauge, true),
            (text, "target_info", Gauge, true),
        ] {
            assert_eq!(is_reserved(format, name, kind), reserved, "{name} {format:?}");
        }
        // The names of the page's translation are reserved.
        let with = |translation| PageSettings { translation, ..text.into() };
        for (strategy, bounces, total) in [
            (TranslationStrategy::UnderscoreEscapingWithSuffixes, false, true),
            (TranslationStrategy::UnderscoreEscapingWithoutSuffixes, true, false),
            (TranslationStrategy::NoUtf8EscapingWithSuffixes, false, true),
            (TranslationStrategy::NoTranslation, true, false),
        ] {
            let is_reserved = |name| is_reserved(with(strategy), name, Counter);
            assert_eq!((is_reserved("mail.bounces"), is_reserved("mail_bounces_total")), (bounces, total), "{strategy:?}");
        }
    }
}
