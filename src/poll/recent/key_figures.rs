//! The key figures of a target on the status page, selected from the canonical metrics that its system has.

use crate::config::TargetPart;
use crate::model::vocabulary::{
    ACCOUNT_STATE, ACCOUNT_STATUS, AUTHENTICATION_ATTEMPTS, AUTHENTICATION_OUTCOME, BOUNCES, CONNECTION_ACTIVE, DELIVERY_ATTEMPTS,
    DELIVERY_OUTCOME, PROCESS_MEMORY_USAGE, PROTOCOL, QUEUE_DEPTH, QUEUE_OLDEST_AGE, QUEUE_STATE, RECEIVED_MESSAGES, REJECTED_MESSAGES,
    REJECTION_REASON, SERVICE_NAME, SERVICE_STATE, SERVICE_STATUS, SPAM_VERDICT, SPAM_VERDICTS, SYSTEM_CPU_UTILIZATION,
    SYSTEM_MEMORY_USAGE, WEBHOOK_OUTCOME, WEBHOOK_REQUESTS,
};
use crate::model::{Attribute, Kind, Metric, Point};
use crate::source::Rule;

/// The largest number of figures of one target.
pub const FIGURES_MAX: usize = 9;

/// One number about a target, aggregated over the series of a metric that have certain attributes.
#[derive(Debug)]
pub struct KeyFigure {
    /// The title: up to three words.
    pub title: &'static str,
    /// The metric that the figure aggregates.
    pub metric: &'static Metric,
    /// The attributes that its series have.
    pub only: &'static [(&'static Attribute, &'static str)],
    /// The attribute by which the page breaks the figure down.
    pub by: Option<&'static Attribute>,
    /// `true` if any value above zero needs attention. Never set for a rate, because some mail always fails.
    pub bad: bool,
}

/// The title of the figure about queued messages.
pub const QUEUE_TITLE: &str = "Queue";
/// The title of the figure about delivered messages.
pub const DELIVERED_TITLE: &str = "Delivered";
/// The title of the figure about deferred delivery attempts.
pub const DEFERRED_TITLE: &str = "Deferred";
/// The title of the figure about failed delivery attempts.
pub const FAILED_TITLE: &str = "Failed";

const fn figure(title: &'static str, metric: &'static Metric) -> KeyFigure {
    KeyFigure { title, metric, only: &[], by: None, bad: false }
}

/// All figures, the most important ones first. A target has the first [`FIGURES_MAX`] figures that its system reports.
static FIGURES: &[KeyFigure] = &[
    figure(QUEUE_TITLE, &QUEUE_DEPTH).by(&QUEUE_STATE),
    figure(DELIVERED_TITLE, &DELIVERY_ATTEMPTS).only(&[(&DELIVERY_OUTCOME, "delivered")]),
    figure(DEFERRED_TITLE, &DELIVERY_ATTEMPTS).only(&[(&DELIVERY_OUTCOME, "deferred")]),
    figure(FAILED_TITLE, &DELIVERY_ATTEMPTS).only(&[(&DELIVERY_OUTCOME, "failed")]),
    figure("Services down", &SERVICE_STATUS).only(&[(&SERVICE_STATE, "down")]).by(&SERVICE_NAME).bad(),
    figure("Login failures", &AUTHENTICATION_ATTEMPTS).only(&[(&AUTHENTICATION_OUTCOME, "failure")]),
    figure("Accounts locked out", &ACCOUNT_STATUS).only(&[(&ACCOUNT_STATE, "authentication_error")]).bad(),
    figure("Connections", &CONNECTION_ACTIVE).by(&PROTOCOL),
    figure("Received", &RECEIVED_MESSAGES),
    figure("Rejected", &REJECTED_MESSAGES).by(&REJECTION_REASON),
    figure("Bounces", &BOUNCES),
    figure("Webhooks failed", &WEBHOOK_REQUESTS).only(&[(&WEBHOOK_OUTCOME, "failure")]),
    figure("Oldest in queue", &QUEUE_OLDEST_AGE),
    figure("Spam", &SPAM_VERDICTS).only(&[(&SPAM_VERDICT, "spam")]),
    figure("Processor", &SYSTEM_CPU_UTILIZATION),
    figure("Memory", &SYSTEM_MEMORY_USAGE),
    figure("Memory", &PROCESS_MEMORY_USAGE),
];

/// The figures of a target with these parts. The metrics in `from_log` are counted from its delivery log.
pub(crate) fn figures_of(parts: &[TargetPart], from_log: &[&Metric]) -> Vec<&'static KeyFigure> {
    let is_polled = |figure: &KeyFigure| parts.iter().flat_map(|part| part.part.rules).any(|rule| figure.comes_from(rule));
    let is_reported = |figure: &&KeyFigure| from_log.contains(&figure.metric) || is_polled(figure);
    let mut chosen: Vec<&'static KeyFigure> = Vec::new();
    for figure in FIGURES.iter().filter(is_reported) {
        // Of two figures with the same title, the first is preferred.
        if chosen.len() < FIGURES_MAX && chosen.iter().all(|other| other.title != figure.title) {
            chosen.push(figure);
        }
    }
    chosen
}

impl KeyFigure {
    const fn only(mut self, attributes: &'static [(&'static Attribute, &'static str)]) -> Self {
        self.only = attributes;
        self
    }

    const fn by(mut self, attribute: &'static Attribute) -> Self {
        self.by = Some(attribute);
        self
    }

    const fn bad(mut self) -> Self {
        self.bad = true;
        self
    }

    /// Returns true if the figure is shown as a rate.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        self.metric.kind == Kind::Counter
    }

    /// Returns true if the figure includes this series.
    #[must_use]
    pub fn includes(&self, point: &Point) -> bool {
        point.metric == self.metric && self.only.iter().all(|(key, value)| point.attributes.iter().any(|(k, v)| k == key && v == value))
    }

    /// Aggregates the values of the series: their sum, or the largest for a gauge.
    pub fn aggregate(&self, values: impl Iterator<Item = f64>) -> Option<f64> {
        match self.metric.kind {
            Kind::Gauge => values.reduce(f64::max),
            _ => values.reduce(|a, b| a + b),
        }
    }

    fn comes_from(&self, rule: &Rule) -> bool {
        let has_attribute = |(key, value): &(&Attribute, &str)| {
            let fixed = rule.with.iter().any(|(k, v)| k == key && v == value);
            let from_source = |from: &crate::source::AttributeSource| {
                from.attribute == *key
                    && (from.values.is_empty() || from.other == Some(value) || from.values.iter().any(|(_, canonical)| canonical == value))
            };
            fixed || rule.from.iter().any(from_source)
        };
        rule.metric == self.metric && rule.detail.is_none() && self.only.iter().all(has_attribute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Credentials, TargetPart};
    use crate::source::{SOURCES, by_name};

    #[track_caller]
    fn expect_figures(system: &str, parts: &[&str], titles: &[&str]) {
        let source = by_name(system).unwrap();
        let parts: Vec<TargetPart> = source
            .parts
            .iter()
            .enumerate()
            .filter(|(i, part)| *i == 0 || parts.contains(&part.name))
            .map(|(_, part)| TargetPart { part, credentials: Credentials::default() })
            .collect();
        let found: Vec<&str> = figures_of(&parts, &[]).iter().map(|figure| figure.title).collect();
        assert_eq!(found, titles, "{system}");
    }

    #[test]
    fn each_system_has_the_figures_that_it_reports() {
        expect_figures("prometheus", &[], &[]);
        expect_figures("ceymail", &[], &["Queue", "Services down", "Processor", "Memory"]);
        expect_figures("cpanel", &[], &["Delivered", "Deferred", "Failed", "Received"]);
        expect_figures(
            "cpanel",
            &["fetch_mail_queue", "servicestatus"],
            &["Queue", "Delivered", "Deferred", "Failed", "Services down", "Received", "Oldest in queue"],
        );
        expect_figures(
            "kumomta",
            &[],
            &["Queue", "Delivered", "Deferred", "Failed", "Connections", "Received", "Rejected", "Processor", "Memory"],
        );
        expect_figures(
            "postfix",
            &[],
            &["Queue", "Delivered", "Deferred", "Failed", "Services down", "Login failures", "Received", "Rejected"],
        );
        for source in SOURCES.iter().filter(|source| !source.required().rules.is_empty()) {
            let part = TargetPart { part: source.required(), credentials: Credentials::default() };
            assert!(!figures_of(&[part], &[]).is_empty(), "{}", source.name);
        }
    }

    #[test]
    fn the_table_refers_to_existing_attributes() {
        for figure in FIGURES {
            for (key, value) in figure.only {
                assert!(figure.metric.attributes.contains(key) && key.values.contains(value), "{}: {value}", figure.title);
            }
            assert!(!figure.bad || !figure.is_rate(), "{}", figure.title);
            assert!(figure.by.is_none_or(|by| figure.metric.attributes.contains(&by)), "{}", figure.title);
        }
    }
}
