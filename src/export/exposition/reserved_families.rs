//! Names that a mail server's families cannot have on a page: those of Postmeter's metrics, whether or not the page has them, and `up`.
//!
//! # Why also those that the page has not
//!
//! Alerts and dashboards know a metric by its name. A server that exposes `mail_up` or `postmeter_build_info` would be taken for Postmeter
//! where a poll failed or a system has no such metric.

use super::names::{Escaping, metric_name};
use super::{Format, ReservedNames, translated};
use crate::model::{FamilyType, Kind, TARGET_INFO, vocabulary};
use crate::telemetry::SELF_METRICS;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The prefix of nearly all self-metrics.
const SELF_PREFIX: &str = "postmeter_";
/// What Prometheus writes of each scrape.
const UP: &str = "up";

static IN_TEXT: LazyLock<ReservedNames> = LazyLock::new(|| of(Format::Text));
static IN_OPEN_METRICS: LazyLock<ReservedNames> = LazyLock::new(|| of(Format::OpenMetrics(Escaping::Underscores)));
static IN_JSON: LazyLock<ReservedNames> = LazyLock::new(|| of(Format::Json));

/// Whether a mail server's family cannot have this name. In whatever way it is written, it is the name with underscores that counts.
#[must_use]
pub fn is_reserved(format: Format, name: &str, kind: FamilyType) -> bool {
    let name = metric_name(Cow::Borrowed(name), Escaping::Underscores);
    let taken = match format {
        Format::Text | Format::TextV1(_) => &IN_TEXT,
        Format::OpenMetrics(_) => &IN_OPEN_METRICS,
        Format::Json => &IN_JSON,
    };
    name.starts_with(SELF_PREFIX) || taken.meets(format, &name, kind)
}

fn of(format: Format) -> ReservedNames {
    let mut taken = ReservedNames::default();
    for metric in vocabulary::ALL.iter().chain(SELF_METRICS) {
        let kind = match metric.kind {
            Kind::Counter => FamilyType::Counter,
            Kind::UpDownCounter | Kind::Gauge => FamilyType::Gauge,
            Kind::Histogram => FamilyType::Histogram,
        };
        taken.add(format, translated(metric), kind);
    }
    for name in [UP, TARGET_INFO] {
        taken.add(format, name.to_owned(), FamilyType::Gauge);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::SelfTelemetry;
    use std::time::Duration;

    #[test]
    fn the_names_of_self_metrics_are_reserved() {
        let own = SelfTelemetry::quiet().unwrap();
        own.served("/metrics", 200, Duration::ZERO);
        own.changed("family_dropped", 1);
        own.export.exported(1, None);
        own.export.attempted(None, Duration::ZERO);
        own.export.waiting(1);
        own.export.retried("timeout");
        let (_, families) = own.gather();
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
            (text, "mail_poll_errors_total", Counter, true),
            (text, "mail_poll_errors", Counter, false),
            (open_metrics, "mail_poll_errors", Counter, true),
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
    }
}
