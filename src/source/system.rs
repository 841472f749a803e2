//! A mail system: its parts, its limits, and where its responses differ from what other systems send.

use super::{DeliveryLogApi, Diagnosis, Example, Hook, Part, Rule, TARGET_URL, Transform, WindowRule};
use crate::model::vocabulary::DELIVERY_METRICS;
use crate::model::{Metric, RecordMetrics};
use std::time::Duration;

/// A mail system. [`Source::new`] has the defaults of all fields that it does not take.
#[derive(Debug)]
pub struct Source {
    /// The value of `system:` in a configuration file, of `mail.system.name` and of `service.name`.
    pub name: &'static str,
    /// The product's name as its vendor writes it.
    pub title: &'static str,
    /// The requests of a poll. The first part is required.
    pub parts: &'static [Part],
    /// The default of `min_interval`: the shortest time between two polls.
    pub min_interval: Duration,
    /// The default of `timeout`: the longest duration of a poll, all parts together.
    pub timeout: Duration,
    /// The rate limit that the server enforces, if it has one.
    pub requests_per_minute_max: Option<u32>,
    /// `true` if the server reports sums over a window of time, so that the key `window:` applies.
    pub windowed: bool,
    /// The windows that the server sums up, if they are fixed. `None`: the target's `window` selects them.
    pub window: Option<WindowRule>,
    /// `true` if the server is known to export a negative gauge as a number near 2^64.
    pub gauges_underflow: bool,
    /// Families that are counters although the server declares them as gauges.
    pub mistyped_counters: &'static [&'static str],
    /// The family and the label that hold `service.version`.
    pub version: Option<(&'static str, &'static str)>,
    /// The family, or a pattern of names, whose value is the Unix time, in seconds, when the server's counters started.
    pub counters_since: Option<&'static str>,
    /// The family, or a pattern of names, whose value is the Unix time, in seconds, when the server's process started. A later value resets
    /// every accumulated counter.
    pub process_since: Option<&'static str>,
    /// The delivery log, if the server exposes one.
    pub delivery_log: Option<&'static DeliveryLogApi>,
    /// The requests by which the system reports deliveries, if it sends any.
    pub hook: Option<&'static Hook>,
    /// Advice that follows from native series.
    pub diagnoses: &'static [Diagnosis],
    /// Facts for the reader of the definition. They have no effect.
    pub notes: &'static [&'static str],
    /// Responses, and the points that the rules must produce from them.
    pub examples: &'static [Example],
}

impl Source {
    /// A mail system that is polled at most every 15 seconds, within 10 seconds, and has no peculiarities.
    #[must_use]
    pub const fn new(name: &'static str, title: &'static str, parts: &'static [Part]) -> Self {
        Self {
            name,
            title,
            parts,
            min_interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            requests_per_minute_max: None,
            windowed: false,
            window: None,
            gauges_underflow: false,
            mistyped_counters: &[],
            version: None,
            counters_since: None,
            process_since: None,
            delivery_log: None,
            hook: None,
            diagnoses: &[],
            notes: &[],
            examples: &[],
        }
    }

    /// The part that a poll cannot do without.
    #[must_use]
    pub fn required(&self) -> &'static Part {
        &self.parts[0]
    }

    /// Returns the part with this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&'static Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Returns `true` if requests go to the target's URL unchanged.
    #[must_use]
    pub fn uses_target_url(&self) -> bool {
        self.required().requests.iter().any(|request| request.path == TARGET_URL)
    }

    /// Returns `true` if the system has delivery records.
    #[must_use]
    pub const fn has_records(&self) -> bool {
        self.delivery_log.is_some() || self.hook.is_some()
    }

    /// Returns `true` if Postmeter can read the system's records from a log, so that it knows how far it has read.
    #[must_use]
    pub fn has_readable_log(&self) -> bool {
        self.delivery_log.is_some() || self.hook.is_some_and(|hook| hook.log_files.is_some())
    }

    /// The metrics that can be counted from the system's delivery records.
    #[must_use]
    pub fn record_metrics(&self) -> RecordMetrics {
        RecordMetrics::of(|metric| match self.hook {
            Some(hook) => hook.has_facts_of(metric),
            // A delivery log has deliveries only.
            None => self.delivery_log.is_some() && DELIVERY_METRICS.contains(&metric),
        })
    }

    /// Returns `true` if another version of the definition requests, reads and maps the same, so that the state of counters is valid for
    /// both.
    #[must_use]
    pub fn counts_as(&self, other: &Self) -> bool {
        // The texts of the parts contain all that they are made of; readers cannot be compared otherwise.
        let text = |source: &Self| format!("{:?} {:?}", source.parts, source.windowed);
        self.name == other.name && text(self) == text(other)
    }

    /// Returns `true` if Postmeter adds up some counters itself, so that they are not simply the values of the server.
    #[must_use]
    pub fn adds_up_counters(&self) -> bool {
        self.windowed || self.rules().any(|(_, rule)| matches!(rule.transform, Transform::Accumulate | Transform::Rebase | Transform::Hold))
    }

    /// The metrics whose counters continue after a restart of the server: what other rules add to them has no start of its own.
    #[must_use]
    pub fn continued_metrics(&self) -> Vec<&'static Metric> {
        let mut metrics: Vec<&'static Metric> = Vec::new();
        for (_, rule) in self.rules().filter(|(_, rule)| rule.transform.outlasts_restarts()) {
            if !metrics.contains(&rule.metric) {
                metrics.push(rule.metric);
            }
        }
        metrics
    }

    /// All rules, each with its part.
    pub fn rules(&self) -> impl Iterator<Item = (&'static Part, &'static Rule)> {
        self.parts.iter().flat_map(|part| part.rules.iter().map(move |rule| (part, rule)))
    }
}
