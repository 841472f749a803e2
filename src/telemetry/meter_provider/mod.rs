//! The adapter to the OpenTelemetry SDK: canonical points in, metrics in the two forms of the exports out.
//!
//! Only this module knows the SDK's metrics API for canonical metrics, and works around its problems:
//!
//! # One provider and one reader per target
//!
//! A provider has one resource, and each mail server is a resource of its own. The readers of one provider are not independent in
//! opentelemetry_sdk 0.33.1: a callback that runs for one reader also feeds the aggregators of the others, so that a series that has ended
//! reappears in the second reader's next collection, and everything is measured twice. `PrometheusExporter` is itself a `MetricReader`, and
//! serves both the pull and the push, with one run of the callbacks each.
//!
//! # Instruments are created for the points that there are
//!
//! The SDK allocates memory for all series that an instrument may have when it is created, and a collection costs time for every
//! instrument. A target reports few of the metrics that its system can have, and a provider cannot change its limits. So the provider is
//! made with the instruments and limits that the points need, and made anew when they need more. Observable instruments have no state that
//! would be lost.
//!
//! # Attributes
//!
//! The SDK returns the attributes of a series in another order in each collection. They are sorted here. The attribute that all points of a
//! target have, its mail system, is added here, too: the SDK would copy and hash it six times for each point of a collection.
//!
//! # Times
//!
//! The times that the SDK sets are those of the collection, not of the reading. `report` replaces them for the push. The pull has start
//! times that are known without earlier readings.

mod counter_starts;
mod families;
mod instruments;

pub use counter_starts::CounterStarts;
pub(super) use families::families_from;

use super::Identity;
use super::record_histograms::key_value;
use crate::config;
use crate::model::registry::SCHEMA_URL;
use crate::model::vocabulary::{RECORD_LAG, SYSTEM_NAME};
use crate::model::{Metric, Point, SelectedFamilies, TranslationStrategy, vocabulary};
use crate::source::Source;
use instruments::Instruments;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The instrumentation scope of the canonical metrics.
pub const SCOPE: &str = "postmeter";

/// The `MeterProvider` of one target, with its instruments and its reader.
#[derive(Debug)]
pub struct TargetMeterProvider {
    system: &'static str,
    resource: Resource,
    /// The labels `job` and `instance`.
    labels: [(&'static str, Arc<str>); 2],
    /// Locked while points are set and collected, so that two collections do not mix.
    instruments: Mutex<Instruments>,
}

impl TargetMeterProvider {
    /// The provider of a target with this mail system and identity.
    #[must_use]
    pub fn new(source: &'static Source, identity: &Identity) -> Self {
        let attributes = identity.attributes().map(|(key, value)| opentelemetry::KeyValue::new(key.to_owned(), value.to_owned()));
        // `Resource::builder()` would add OTEL_SERVICE_NAME, which names Postmeter and not the mail server.
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        Self { system: source.name, resource, labels: identity.labels(), instruments: Mutex::default() }
    }

    /// The mail system of the target.
    #[must_use]
    pub fn system(&self) -> &'static str {
        self.system
    }

    /// The points as OTLP metrics, for the push. Their times are not those of the reading: `report` sets them.
    pub fn collect(&self, points: Vec<Point>) -> Vec<ScopeMetrics> {
        scopes_of(&self.collected(points), &[self.system_attribute()])
    }

    /// The points as families with the labels `job` and `instance`, for the pull.
    pub fn gather(&self, points: Vec<Point>, strategy: TranslationStrategy, starts: &CounterStarts) -> SelectedFamilies {
        let [job, instance] = self.labels.each_ref().map(|(name, value)| (*name, &**value));
        let labels = [job, instance, self.system_attribute()];
        families_from(&self.collected(points), strategy, &labels, |metric, _| starts.of_metric(metric))
    }

    /// The same as [`gather`](Self::gather) without `job` and `instance`, which Prometheus adds itself.
    pub fn gather_without_target_labels(
        &self,
        points: Vec<Point>,
        strategy: TranslationStrategy,
        starts: &CounterStarts,
    ) -> SelectedFamilies {
        families_from(&self.collected(points), strategy, &[self.system_attribute()], |metric, _| starts.of_metric(metric))
    }

    fn collected(&self, points: Vec<Point>) -> ResourceMetrics {
        self.instruments.lock().collected(points, &self.resource)
    }

    /// The attribute that all points have.
    fn system_attribute(&self) -> (&'static str, &'static str) {
        (SYSTEM_NAME.key, self.system)
    }
}

/// The collected metrics as OTLP scopes of this version. Each point gets the attributes `extra`, and its attributes are sorted.
pub(super) fn scopes_of(collected: &ResourceMetrics, extra: &[(&str, &str)]) -> Vec<ScopeMetrics> {
    let mut scopes: Vec<ScopeMetrics> = collected.scope_metrics().map(Into::into).collect();
    for scope in &mut scopes {
        scope.scope.get_or_insert_default().version = env!("CARGO_PKG_VERSION").to_owned();
        scope.schema_url = SCHEMA_URL.to_owned();
        complete_attributes(scope, extra);
    }
    scopes
}

/// The scope of the canonical metrics, without metrics.
#[must_use]
pub fn empty_canonical_scope() -> ScopeMetrics {
    let scope =
        InstrumentationScope { name: SCOPE.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..InstrumentationScope::default() };
    ScopeMetrics { scope: Some(scope), schema_url: SCHEMA_URL.to_owned(), ..ScopeMetrics::default() }
}

fn complete_attributes(scope: &mut ScopeMetrics, extra: &[(&str, &str)]) {
    let complete = |attributes: &mut Vec<KeyValue>| {
        attributes.extend(extra.iter().map(|(key, value)| key_value(key, value)));
        attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    };
    for metric in &mut scope.metrics {
        match &mut metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.iter_mut().for_each(|point| complete(&mut point.attributes)),
            Some(Data::Sum(sum)) => sum.data_points.iter_mut().for_each(|point| complete(&mut point.attributes)),
            Some(Data::Histogram(histogram)) => histogram.data_points.iter_mut().for_each(|point| complete(&mut point.attributes)),
            _ => {}
        }
    }
}

/// The metrics that a target of this system can have.
#[must_use]
pub fn metrics_of(source: &Source) -> Vec<&'static Metric> {
    // The lag of records that the system sends is unknown.
    let has_state =
        |metric: &&Metric| vocabulary::RECORD_STATE_METRICS.contains(metric) && (**metric != RECORD_LAG || source.has_readable_log());
    let has = |metric: &&&Metric| {
        vocabulary::POLL_METRICS.contains(metric)
            || source.has_records() && (has_state(metric) || source.record_metrics().contains(metric))
            || source.rules().any(|(_, rule)| rule.metric == **metric)
    };
    vocabulary::ALL.iter().filter(has).copied().collect()
}

/// The Prometheus reader of a provider, which can also be called directly.
#[derive(Clone, Debug)]
pub(super) struct SharedReader(Arc<dyn MetricReader>);

impl Default for SharedReader {
    fn default() -> Self {
        // The registry is never gathered: the families of the pull are made from what the reader collects.
        let exporter = opentelemetry_prometheus::exporter().with_registry(Registry::new());
        match exporter.scope_info_enabled(false).without_target_info().build() {
            Ok(exporter) => Self(Arc::new(exporter)),
            Err(error) => {
                tracing::error!("the Prometheus reader cannot be created, and another one is used: {error}");
                Self(Arc::new(ManualReader::default()))
            }
        }
    }
}

impl SharedReader {
    /// A reader with this temporality, for the push of self-metrics.
    pub(super) fn with_temporality(temporality: config::Temporality) -> Self {
        let temporality = match temporality {
            config::Temporality::Cumulative => Temporality::Cumulative,
            config::Temporality::Delta => Temporality::Delta,
            config::Temporality::LowMemory => Temporality::LowMemory,
        };
        Self(Arc::new(ManualReader::builder().with_temporality(temporality).build()))
    }

    /// The current metrics of the provider.
    pub(super) fn collected(&self) -> ResourceMetrics {
        let mut collected = ResourceMetrics::default();
        if let Err(error) = self.0.collect(&mut collected) {
            tracing::error!("the OpenTelemetry SDK cannot collect metrics: {error}");
        }
        collected
    }
}

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, into: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(into)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Attribute;
    use crate::model::vocabulary::{DELIVERY_FAILURES, FAILURE_CLASS, POLL_LATENCY, POLL_PART};
    use smallvec::smallvec;
    use std::collections::BTreeMap;

    /// Points of a metric whose only attribute has these values.
    fn points(metric: &'static Metric, key: &'static Attribute, values: impl Iterator<Item = usize>) -> Vec<Point> {
        values.map(|n| Point { metric, attributes: smallvec![(key, n.to_string().into())], value: n as f64 }).collect()
    }

    /// The number of series of each collected metric, and whether one of them is the SDK's for everything beyond a limit.
    fn collected(provider: &TargetMeterProvider, points: Vec<Point>) -> (BTreeMap<String, usize>, bool) {
        let scopes = provider.collect(points);
        let metrics = scopes.iter().flat_map(|scope| &scope.metrics);
        let mut has_overflow = false;
        let counts = metrics.map(|metric| {
            let points = match &metric.data {
                Some(Data::Gauge(gauge)) => &gauge.data_points,
                Some(Data::Sum(sum)) => &sum.data_points,
                _ => panic!("{metric:?}"),
            };
            has_overflow |= points.iter().flat_map(|point| &point.attributes).any(|attribute| attribute.key == "otel.metric.overflow");
            (metric.name.clone(), points.len())
        });
        (counts.collect(), has_overflow)
    }

    #[test]
    fn every_point_has_a_series_however_many_there_are_and_however_they_change() {
        let identity = Identity::new("mta", "mta1");
        let provider = TargetMeterProvider::new(crate::source::by_name("kumomta").unwrap(), &identity);
        let mut first = 0;
        for len in [0, 1, 2, 3, 5, 300, 7, 300, 1000, 1000, 1001, 4, 2000, 0, 1] {
            // All series of the collection before have ended.
            let values = first..first + len;
            first += len;
            let gauges = points(&POLL_LATENCY, &POLL_PART, values.clone());
            let counters = points(&DELIVERY_FAILURES, &FAILURE_CLASS, values.clone());
            let expected = [(POLL_LATENCY.name, len), (DELIVERY_FAILURES.name, len)].into_iter().filter(|(_, len)| *len > 0);
            let expected = expected.map(|(name, len)| (name.to_owned(), len)).collect();
            assert_eq!(collected(&provider, [gauges, counters].concat()), (expected, false), "{len}");
        }
    }

    #[test]
    fn a_metric_that_was_absent_gets_an_instrument_and_keeps_its_position() {
        let provider = TargetMeterProvider::new(crate::source::by_name("kumomta").unwrap(), &Identity::new("mta", "mta1"));
        let failures = || points(&DELIVERY_FAILURES, &FAILURE_CLASS, 0..3);
        let names = |points| provider.collect(points)[0].metrics.iter().map(|metric| metric.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(failures()), [DELIVERY_FAILURES.name]);
        let both = [failures(), points(&POLL_LATENCY, &POLL_PART, 0..1)].concat();
        // The order is that of the vocabulary, not that of the first points.
        assert_eq!(names(both), [POLL_LATENCY.name, DELIVERY_FAILURES.name]);
        assert_eq!(names(failures()), [DELIVERY_FAILURES.name]);
    }
}
