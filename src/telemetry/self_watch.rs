//! Conditions that an operator should know about, as self-metrics and as text at `/-/ready`.
//!
//! They do not affect readiness: a restart by an orchestrator would not fix any of them.

use super::logging::dropped_lines;
use super::self_metrics::{
    COLLECTION_IDLE, LOG_LINES_DROPPED, TARGETS_CIRCUIT_OPEN, TARGETS_RECORDS_MISSING, TARGETS_STALE, counter, gauge,
};
use super::{SelfTelemetry, StalenessRule, TargetSet};
use crate::poll::Circuit;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The interval at which the conditions are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The time for which dropped log lines are reported as a condition.
const LOG_DROP_RECENT: Duration = Duration::from_secs(15 * 60);
/// Delivery records are missing if none has arrived for this long, and the delivery log could not be read completely either.
const RECORDS_MISSING_AFTER: Duration = Duration::from_secs(3600);
/// Targets that a condition names. Further ones are only counted.
const NAMES_MAX: usize = 20;

/// The instruments of the conditions.
#[derive(Debug)]
pub struct ConditionMetrics {
    log_lines_dropped: Counter<u64>,
    idle: Gauge<u64>,
    stale: Gauge<u64>,
    circuits_open: Gauge<u64>,
    records_missing: Gauge<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of dropped log lines that the counter contains.
    log_lines_counted: u64,
    /// The time of the last scrape.
    last_scrape: Option<Instant>,
}

impl ConditionMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        let metrics = Self {
            log_lines_dropped: counter(meter, &LOG_LINES_DROPPED),
            idle: gauge(meter, &COLLECTION_IDLE),
            stale: gauge(meter, &TARGETS_STALE),
            circuits_open: gauge(meter, &TARGETS_CIRCUIT_OPEN),
            records_missing: gauge(meter, &TARGETS_RECORDS_MISSING),
            state: Mutex::default(),
        };
        // The counter must exist before the first dropped line.
        metrics.log_lines_dropped.add(0, &[]);
        metrics
    }

    /// Notes a scrape.
    pub(super) fn note_scrape(&self) {
        self.state().last_scrape = Some(Instant::now());
    }

    /// Adds the log lines that were dropped since the last call. The queue itself does not, to keep dropping a line as cheap as possible.
    pub(super) fn count_dropped_log_lines(&self) {
        let (dropped, _) = dropped_lines();
        let mut state = self.state();
        self.log_lines_dropped.add(dropped.saturating_sub(state.log_lines_counted), &[]);
        state.log_lines_counted = dropped;
    }

    fn last_scrape(&self) -> Option<Instant> {
        self.state().last_scrape
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A condition that an operator should know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There was no scrape and no accepted push for this long.
    Idle(Duration),
    /// The latest readings of these targets are old.
    Stale(Vec<String>),
    /// These targets fail repeatedly and are polled less often.
    CircuitsOpen(Vec<String>),
    /// No delivery records of these targets have arrived for an hour.
    RecordsMissing(Vec<String>),
    /// This many log lines were dropped since startup, the last one recently.
    LogLinesDropped(u64),
    /// This many requests in the spool were damaged since startup.
    SpoolDamaged(u64),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &[String]| {
            let shown = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
            match names.len().saturating_sub(NAMES_MAX) {
                0 => shown,
                more => format!("{shown} and {more} more"),
            }
        };
        match self {
            Self::Idle(time) => write!(f, "idle: no scrape and no accepted push for {} s", time.as_secs()),
            Self::Stale(targets) => write!(f, "stale: old readings of {}", names(targets)),
            Self::CircuitsOpen(targets) => write!(f, "circuit open: polled less often after repeated failures: {}", names(targets)),
            Self::RecordsMissing(targets) => {
                write!(f, "delivery records missing: none for an hour from {}; check what sends them", names(targets))
            }
            Self::LogLinesDropped(lines) => write!(f, "log lines dropped: {lines} since startup; standard error is not read fast enough"),
            Self::SpoolDamaged(requests) => write!(f, "spool damaged: {requests} requests quarantined since startup"),
        }
    }
}

/// Checks the conditions.
#[derive(Clone, Debug)]
pub struct SelfWatch {
    targets: TargetSet,
    telemetry: Arc<SelfTelemetry>,
    idle_after: Duration,
    push_interval: Option<watch::Receiver<Duration>>,
    started: Instant,
}

impl SelfWatch {
    /// A watch over these targets. `push_interval` is the interval of the push, if it is enabled.
    #[must_use]
    pub fn new(
        targets: TargetSet,
        telemetry: Arc<SelfTelemetry>,
        idle_after: Duration,
        push_interval: Option<watch::Receiver<Duration>>,
    ) -> Self {
        Self { targets, telemetry, idle_after, push_interval, started: Instant::now() }
    }

    /// The rule by which a reading is stale.
    #[must_use]
    pub fn staleness(&self) -> StalenessRule {
        StalenessRule { push_interval: self.push_interval.as_ref().map(|interval| *interval.borrow()) }
    }

    /// The conditions at this time.
    #[must_use]
    pub fn conditions(&self, now: Instant) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let last = [self.telemetry.conditions.last_scrape(), self.telemetry.export.last_accepted()].into_iter().flatten().max();
        let idle = now.saturating_duration_since(last.unwrap_or(self.started));
        if idle >= self.idle_after {
            conditions.push(Condition::Idle(idle));
        }
        let (mut stale, mut open, mut without_records) = (Vec::new(), Vec::new(), Vec::new());
        let staleness = self.staleness();
        for collected in self.targets.now().iter() {
            let target = &collected.target;
            if staleness.stale_reading(target, now).is_some() {
                stale.push(target.name().to_owned());
            }
            if matches!(target.circuit(), Circuit::Open { .. }) {
                open.push(target.name().to_owned());
            }
            let last_record = collected.deliveries.as_ref().map(|deliveries| deliveries.last_activity());
            if last_record.is_some_and(|last| now.saturating_duration_since(last) >= RECORDS_MISSING_AFTER) {
                without_records.push(target.name().to_owned());
            }
        }
        let (dropped, last_drop) = dropped_lines();
        let is_recent = last_drop.is_some_and(|last| now.saturating_duration_since(last) < LOG_DROP_RECENT);
        conditions.extend(Some(stale).filter(|stale| !stale.is_empty()).map(Condition::Stale));
        conditions.extend(Some(open).filter(|open| !open.is_empty()).map(Condition::CircuitsOpen));
        conditions.extend(Some(without_records).filter(|targets| !targets.is_empty()).map(Condition::RecordsMissing));
        let damaged = self.telemetry.export.damaged_requests();
        conditions.extend((damaged > 0).then_some(Condition::SpoolDamaged(damaged)));
        conditions.extend(is_recent.then_some(Condition::LogLinesDropped(dropped)));
        conditions
    }

    /// Records the conditions as metrics.
    pub fn record(&self, now: Instant) {
        let (mut idle, mut stale, mut open, mut without_records) = (0, 0, 0, 0);
        for condition in self.conditions(now) {
            match condition {
                Condition::Idle(_) => idle = 1,
                Condition::Stale(targets) => stale = targets.len(),
                Condition::CircuitsOpen(targets) => open = targets.len(),
                Condition::RecordsMissing(targets) => without_records = targets.len(),
                Condition::LogLinesDropped(_) | Condition::SpoolDamaged(_) => {}
            }
        }
        let metrics = &self.telemetry.conditions;
        metrics.idle.record(idle, &[]);
        metrics.stale.record(stale as u64, &[]);
        metrics.circuits_open.record(open as u64, &[]);
        metrics.records_missing.record(without_records as u64, &[]);
        metrics.count_dropped_log_lines();
    }

    /// Records the conditions every few seconds until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.record(Instant::now()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{self, Environment};
    use crate::poll::{Limits, Target};
    use crate::telemetry::CollectedTarget;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn conditions_begin_and_end() {
        // Nothing listens on this port, so the poll fails immediately.
        let text = "targets: [{name: a, system: kumomta, url: 'http://127.0.0.1:1', min_interval: 2s}]";
        let config = config::parse(text, "postmeter.yaml", &Environment::default()).unwrap();
        let target = Target::new(config.targets[0].clone(), Limits::default()).unwrap();
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let targets = TargetSet::new(vec![Arc::new(CollectedTarget::new(target.clone()))]);
        let watch = SelfWatch::new(targets, telemetry.clone(), MINUTE, None);
        let now = Instant::now();
        assert_eq!(watch.conditions(now), []);
        let idle = watch.conditions(now + MINUTE * 2);
        assert!(matches!(idle[..], [Condition::Idle(time)] if time >= MINUTE), "{idle:?}");
        telemetry.served("/metrics", 503, MINUTE);
        assert!(matches!(watch.conditions(now + MINUTE * 2)[..], [Condition::Idle(_)]));
        telemetry.served("/metrics", 200, MINUTE);
        assert_eq!(watch.conditions(Instant::now() + MINUTE / 2), []);
        telemetry.export.spool_damaged(2);
        assert_eq!(watch.conditions(Instant::now()), [Condition::SpoolDamaged(2)]);
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let watch = SelfWatch { telemetry: telemetry.clone(), ..watch };
        telemetry.export.exported(1, Some("refused"));
        assert_eq!(telemetry.export.last_accepted(), None);
        telemetry.export.exported(1, None);
        assert!(telemetry.export.last_accepted().is_some());

        target.reading().await;
        let old = watch.conditions(Instant::now() + MINUTE * 6);
        assert!(matches!(&old[..], [Condition::Idle(_), Condition::Stale(names)] if names == &["a"]), "{old:?}");
        assert_eq!(old[1].to_string(), "stale: old readings of a");
        watch.record(Instant::now() + MINUTE * 6);
        let value = |name: &str| {
            let (_, families) = telemetry.gather(Default::default());
            families.find(None, name).unwrap().samples().next().unwrap().number().unwrap()
        };
        assert_eq!(
            [value("postmeter_collection_idle"), value("postmeter_targets_stale"), value("postmeter_targets_circuit_open")],
            [1.0, 1.0, 0.0]
        );
        watch.record(Instant::now());
        assert_eq!([value("postmeter_collection_idle"), value("postmeter_targets_stale")], [0.0, 0.0]);
    }

    #[test]
    fn records_that_stay_out_for_an_hour_are_a_condition() {
        let text = "state_dir: .\ntargets: [{name: a, system: cpanel, url: 'https://cp.example.com:2087', username: root, token: t, \
                    parts: {messages: {}}}, {name: b, system: kumomta, url: 'http://127.0.0.1:1'}]";
        let config = config::parse(text, "postmeter.yaml", &Environment::default()).unwrap();
        let collected = |target: &config::Target| Arc::new(CollectedTarget::new(Target::new(target.clone(), Limits::default()).unwrap()));
        let targets: Vec<_> = config.targets.iter().map(collected).collect();
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let watch = SelfWatch::new(TargetSet::new(targets.clone()), telemetry, MINUTE * 600, None);
        let start = Instant::now();
        assert_eq!(watch.conditions(start + MINUTE * 59), []);
        let missing = [Condition::RecordsMissing(vec!["a".to_owned()])];
        assert_eq!(watch.conditions(start + MINUTE * 61), missing);
        targets[0].deliveries.as_ref().unwrap().completed(start + MINUTE * 30);
        assert_eq!(watch.conditions(start + MINUTE * 61), []);
        assert_eq!(watch.conditions(start + MINUTE * 91), missing);
    }

    #[test]
    fn a_condition_names_a_limited_number_of_targets() {
        let names = (0..25).map(|n| format!("t{n}")).collect();
        let text = Condition::CircuitsOpen(names).to_string();
        assert!(text.ends_with("t18, t19 and 5 more") && !text.contains("t20"), "{text}");
    }
}
