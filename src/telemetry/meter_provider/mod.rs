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
//! # Order of attributes
//!
//! The SDK returns the attributes of a series in another order in each collection. They are sorted here.
//!
//! # Times
//!
//! The times that the SDK sets are those of the collection, not of the reading. `report` replaces them for the push. The pull has start times
//! that are known without earlier readings.

mod counter_starts;
mod families;
mod instruments;

pub use counter_starts::CounterStarts;
pub(super) use families::families_from;

use super::Identity;
use super::record_failures::{DETAILED_FAILURES_MAX, UNLIMITED_FAILURES};
use crate::config::{self, RecordDetail};
use crate::model::registry::SCHEMA_URL;
use crate::model::{Attribute, Metric, Point, RecordMetrics, SelectedFamilies, TranslationStrategy, vocabulary};
use crate::poll::Target;
use crate::source::{POINTS_PER_METRIC_MAX, Source};
use instruments::{CurrentPoints, create_observable_instruments};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The instrumentation scope of the canonical metrics.
pub const SCOPE: &str = "postmeter";

/// The `MeterProvider` of one target, with its instruments and its reader.
#[derive(Debug)]
pub struct TargetMeterProvider {
    current: CurrentPoints,
    reader: SharedReader,
    /// The labels `job` and `instance`.
    labels: [(&'static str, String); 2],
    /// Held while points are set and collected, so that two collections do not mix.
    collecting: Mutex<()>,
    /// Kept because dropping it would shut down the reader.
    _provider: SdkMeterProvider,
}

impl TargetMeterProvider {
    /// The provider of a target.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self::with_detail(target.config.source, &Identity::of(&target.config), &target.config.record_detail())
    }

    /// The provider of a target with this mail system and identity.
    #[must_use]
    pub fn of(source: &'static Source, identity: &Identity) -> Self {
        Self::with_detail(source, identity, &RecordDetail::default())
    }

    fn with_detail(source: &'static Source, identity: &Identity, detail: &RecordDetail) -> Self {
        let reader = SharedReader::default();
        let attributes = identity.attributes().map(|(key, value)| opentelemetry::KeyValue::new(key.to_owned(), value.to_owned()));
        let (groups, is_detailed) = (detail.groups(), !detail.by.is_empty());
        let view = move |instrument: &Instrument| cardinality_view(instrument, groups, is_detailed);
        // `Resource::builder()` would add OTEL_SERVICE_NAME, which names Postmeter and not the mail server.
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader.clone()).with_view(view).build();
        let current = CurrentPoints::new(source.name);
        create_observable_instruments(&provider.meter(SCOPE), &metrics_of(source), &current);
        Self { current, reader, labels: identity.labels(), collecting: Mutex::default(), _provider: provider }
    }

    /// The mail system of the target.
    #[must_use]
    pub fn system(&self) -> &'static str {
        self.current.system()
    }

    /// The points as OTLP metrics, for the push. Their times are not those of the reading: `report` sets them.
    pub fn collect(&self, points: Vec<Point>) -> Vec<ScopeMetrics> {
        scopes_of(&self.collected(points))
    }

    /// The points as families with the labels `job` and `instance`, for the pull.
    pub fn gather(&self, points: Vec<Point>, strategy: TranslationStrategy, starts: &CounterStarts) -> SelectedFamilies {
        let labels = self.labels.each_ref().map(|(name, value)| (*name, value.as_str()));
        families_from(&self.collected(points), strategy, &labels, |metric, _| starts.of_metric(metric))
    }

    /// The same as [`gather`](Self::gather) without `job` and `instance`, which Prometheus adds itself.
    pub fn gather_without_target_labels(
        &self,
        points: Vec<Point>,
        strategy: TranslationStrategy,
        starts: &CounterStarts,
    ) -> SelectedFamilies {
        families_from(&self.collected(points), strategy, &[], |metric, _| starts.of_metric(metric))
    }

    fn collected(&self, points: Vec<Point>) -> ResourceMetrics {
        let _collecting = self.collecting.lock();
        self.current.set(points);
        self.reader.collected()
    }
}

/// The collected metrics as OTLP scopes of this version, with sorted attributes.
pub(super) fn scopes_of(collected: &ResourceMetrics) -> Vec<ScopeMetrics> {
    let mut scopes: Vec<ScopeMetrics> = collected.scope_metrics().map(Into::into).collect();
    for scope in &mut scopes {
        scope.scope.get_or_insert_default().version = env!("CARGO_PKG_VERSION").to_owned();
        scope.schema_url = SCHEMA_URL.to_owned();
        sort_attributes(scope);
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

fn sort_attributes(scope: &mut ScopeMetrics) {
    let sort = |attributes: &mut Vec<KeyValue>| attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    for metric in &mut scope.metrics {
        match &mut metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.iter_mut().for_each(|point| sort(&mut point.attributes)),
            Some(Data::Sum(sum)) => sum.data_points.iter_mut().for_each(|point| sort(&mut point.attributes)),
            Some(Data::Histogram(histogram)) => histogram.data_points.iter_mut().for_each(|point| sort(&mut point.attributes)),
            _ => {}
        }
    }
}

/// The metrics that a target of this system can have. Only these have instruments.
#[must_use]
pub fn metrics_of(source: &Source) -> Vec<&'static Metric> {
    let has = |metric: &&&Metric| {
        vocabulary::POLL_METRICS.contains(metric)
            || source.has_records() && (vocabulary::RECORD_STATE_METRICS.contains(metric) || source.record_metrics().contains(metric))
            || source.rules().any(|(_, rule)| rule.metric == **metric)
    };
    vocabulary::ALL.iter().filter(has).copied().collect()
}

/// Limits the series of an instrument. By default the SDK allocates memory for 2,000 series when an instrument is created; metrics with
/// closed sets of attribute values need far fewer.
fn cardinality_view(instrument: &Instrument, groups: usize, is_detailed: bool) -> Option<Stream> {
    let metric = vocabulary::ALL.iter().find(|metric| metric.name == instrument.name())?;
    Stream::builder().with_cardinality_limit(series_max(metric, groups, is_detailed)).build().ok()
}

/// The largest number of series of a metric, for a target whose records are split into this many groups.
fn series_max(metric: &'static Metric, groups: usize, is_detailed: bool) -> usize {
    let is_open = |attribute: &&Attribute| attribute.values.is_empty();
    if *metric == vocabulary::DELIVERY_FAILURES && is_detailed {
        return DETAILED_FAILURES_MAX + UNLIMITED_FAILURES + 1;
    }
    let is_from_records = RecordMetrics::of(|_| true).contains(metric);
    let detail = metric.detail.iter().filter(|_| !is_from_records);
    if metric.attributes.iter().chain(detail).any(is_open) {
        return POINTS_PER_METRIC_MAX;
    }
    // Each attribute may be missing, and the SDK needs one series for its overflow point.
    let of_group = metric.attributes.iter().map(|attribute| attribute.values.len() + 1).product::<usize>();
    of_group * if metric.detail.is_empty() { 1 } else { groups } + 1
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
