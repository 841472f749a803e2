//! The key figures of a target: what a person looks at first, chosen from the canonical metrics that its system has.

use crate::config::TargetPart;
use crate::model::vocabulary::{
    ACCOUNT_STATE, ACCOUNT_STATUS, AUTHENTICATION_ATTEMPTS, AUTHENTICATION_OUTCOME, BOUNCES, CONNECTION_ACTIVE, DELIVERY_ATTEMPTS,
    DELIVERY_OUTCOME, PROCESS_MEMORY_USAGE, PROTOCOL, QUEUE_DEPTH, QUEUE_OLDEST_AGE, QUEUE_STATE, RECEIVED_MESSAGES, REJECTED_MESSAGES,
    REJECTION_REASON, SERVICE_NAME, SERVICE_STATE, SERVICE_STATUS, SPAM_VERDICT, SPAM_VERDICTS, SYSTEM_CPU_UTILIZATION,
    SYSTEM_MEMORY_USAGE, WEBHOOK_OUTCOME, WEBHOOK_REQUESTS,
};
use crate::model::{Attribute, Kind, Metric, Point};
use crate::source::Rule;

/// Figures of one target.
pub const FIGURES_MAX: usize = 9;

/// One number about a target, over all series of a metric that have these attributes.
#[derive(Debug)]
pub struct KeyFigure {
    /// What it is called, in a word or two.
    pub title: &'static str,
    /// What it is made of.
    pub metric: &'static Metric,
    /// Only series with these attributes.
    pub only: &'static [(&'static Attribute, &'static str)],
    /// What tells its series apart, for a person.
    pub by: Option<&'static Attribute>,
    /// Whether anything above zero wants somebody to look. Never a rate: some mail always fails.
    pub bad: bool,
}

const fn figure(title: &'static str, metric: &'static Metric) -> KeyFigure {
    KeyFigure { title, metric, only: &[], by: None, bad: false }
}

/// The most telling first: a target has the first [`FIGURES_MAX`] of those that its system says.
static FIGURES: &[KeyFigure] = &[
    figure("Queue", &QUEUE_DEPTH).by(&QUEUE_STATE),
    figure("Delivered", &DELIVERY_ATTEMPTS).only(&[(&DELIVERY_OUTCOME, "delivered")]),
    figure("Deferred", &DELIVERY_ATTEMPTS).only(&[(&DELIVERY_OUTCOME, "deferred")]),
    figure("Failed", &DELIVERY_ATTEMPTS).only(&[(&DELIVERY_OUTCOME, "failed")]),
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

/// The figures of a target that asks for these parts.
pub(crate) fn figures_of(parts: &[TargetPart]) -> Vec<&'static KeyFigure> {
    let said = |figure: &&KeyFigure| parts.iter().flat_map(|part| part.part.rules).any(|rule| figure.comes_from(rule));
    let mut chosen: Vec<&'static KeyFigure> = Vec::new();
    for figure in FIGURES.iter().filter(said) {
        // Two that are called the same are the same for a person; the first says more.
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

    /// Whether it is told as a rate.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        self.metric.kind == Kind::Counter
    }

    /// Whether this series is a part of it.
    #[must_use]
    pub fn has(&self, point: &Point) -> bool {
        point.metric == self.metric && self.only.iter().all(|(key, value)| point.attributes.iter().any(|(k, v)| k == key && v == value))
    }

    /// Of the values of its series, the one that it shows: their sum, or the largest where a sum makes no sense.
    pub fn fold(&self, values: impl Iterator<Item = f64>) -> Option<f64> {
        match self.metric.kind {
            Kind::Gauge => values.reduce(f64::max),
            _ => values.reduce(|a, b| a + b),
        }
    }

    fn comes_from(&self, rule: &Rule) -> bool {
        let gives = |(key, value): &(&Attribute, &str)| {
            let fixed = rule.with.iter().any(|(k, v)| k == key && v == value);
            let from = |from: &crate::source::AttributeSource| {
                from.attribute == *key
                    && (from.values.is_empty() || from.other == Some(value) || from.values.iter().any(|(_, ours)| ours == value))
            };
            fixed || rule.from.iter().any(from)
        };
        rule.metric == self.metric && rule.detail.is_none() && self.only.iter().all(gives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Credentials, TargetPart};
    use crate::source::{SOURCES, by_name};

    #[track_caller]
    fn has(system: &str, parts: &[&str], titles: &[&str]) {
        let source = by_name(system).unwrap();
        let parts: Vec<TargetPart> = source
            .parts
            .iter()
            .enumerate()
            .filter(|(i, part)| *i == 0 || parts.contains(&part.name))
            .map(|(_, part)| TargetPart { part, credentials: Credentials::default() })
            .collect();
        let found: Vec<&str> = figures_of(&parts).iter().map(|figure| figure.title).collect();
        assert_eq!(found, titles, "{system}");
    }

    #[test]
    fn each_system_has_the_figures_that_it_can_say() {
        has("prometheus", &[], &[]);
        has("ceymail", &[], &["Queue", "Services down", "Processor", "Memory"]);
        has("cpanel", &[], &["Delivered", "Deferred", "Failed", "Received"]);
        has(
            "cpanel",
            &["fetch_mail_queue", "servicestatus"],
            &["Queue", "Delivered", "Deferred", "Failed", "Services down", "Received", "Oldest in queue"],
        );
        has("kumomta", &[], &["Queue", "Delivered", "Deferred", "Failed", "Connections", "Received", "Rejected", "Processor", "Memory"]);
        for source in SOURCES.iter().filter(|source| source.rules().next().is_some()) {
            let parts = source.parts.iter().map(|part| TargetPart { part, credentials: Credentials::default() }).collect::<Vec<_>>();
            assert!(!figures_of(&parts).is_empty(), "{} has no key figure", source.name);
        }
    }

    #[test]
    fn the_table_names_what_there_is() {
        for figure in FIGURES {
            for (key, value) in figure.only {
                assert!(figure.metric.attributes.contains(key) && key.values.contains(value), "{}: {value}", figure.title);
            }
            assert!(!figure.bad || !figure.is_rate(), "{}", figure.title);
            assert!(figure.by.is_none_or(|by| figure.metric.attributes.contains(&by)), "{}", figure.title);
        }
    }
}
