//! The instruments of one target, the provider that they belong to, and the one reader with two ways out of it.
//!
//! # Why one provider per target, with one reader
//!
//! One provider has one Resource, and each mail server is a Resource of its own. And the readers of one provider are not
//! independent in opentelemetry_sdk 0.33.1: a callback that runs for one reader feeds the others' aggregators too, so a
//! series that had vanished comes back in the second reader's next collection, and everything is measured twice.
//! `PrometheusExporter` is itself a `MetricReader`. Held in an `Arc` behind a newtype it serves the pull (its registry
//! gathers) and the push (it collects), from one pipeline with one run of the callbacks each time.

use super::{DeliveryMetrics, Identity};
use crate::model::{Attribute, Metric, Point, vocabulary};
use crate::poll::Target;
use crate::source::{POINTS_PER_METRIC_MAX, Source};
use crate::telemetry::instruments::{self, CurrentPoints};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, InstrumentKind, Pipeline as SdkPipeline, SdkMeterProvider, Stream, Temporality};
use parking_lot::Mutex;
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The scope of the canonical metrics.
pub const SCOPE: &str = "postmeter";

/// One target's canonical metrics on their way out.
#[derive(Debug)]
pub struct Pipeline {
    current: CurrentPoints,
    reader: SharedReader,
    registry: Registry,
    /// One collection at a time: points are set, then collected.
    collecting: Mutex<()>,
    /// Dropping it would shut the reader down.
    provider: SdkMeterProvider,
}

/// Why a pipeline cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("the SDK refused: {0}")]
pub struct MeterProviderError(String);

impl Pipeline {
    /// The pipeline of a target.
    ///
    /// # Errors
    /// The SDK's reason.
    pub fn new(target: &Target) -> Result<Self, MeterProviderError> {
        let identity = Identity::of(&target.config);
        Self::of(target.config.source, &identity)
    }

    /// The pipeline of a mail system under an identity.
    ///
    /// # Errors
    /// The SDK's reason.
    pub fn of(source: &'static Source, identity: &Identity) -> Result<Self, MeterProviderError> {
        let refused = |error: &dyn std::fmt::Display| MeterProviderError(error.to_string());
        let registry = Registry::new_custom(None, Some(identity.labels())).map_err(|e| refused(&e))?;
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            // `target_info` depends on what the server says of its version, and a Resource cannot change.
            .without_target_info()
            .build()
            .map_err(|e| refused(&e))?;
        let reader = SharedReader(Arc::new(exporter));
        let attributes = identity.attributes().map(|(key, value)| opentelemetry::KeyValue::new(key.to_owned(), value.to_owned()));
        // `Resource::builder()` would add OTEL_SERVICE_NAME, which is Postmeter's own and not the mail server's.
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader.clone()).with_view(room).build();
        let current = CurrentPoints::new(source.name);
        instruments::observe(&provider.meter(SCOPE), &metrics_of(source), &current);
        Ok(Self { current, reader, registry, collecting: Mutex::default(), provider })
    }

    /// What is counted and measured of delivery records. To be made once.
    #[must_use]
    pub(super) fn deliveries(&self) -> DeliveryMetrics {
        DeliveryMetrics::new(&self.provider.meter(SCOPE), self.system())
    }

    /// The mail system that it is for.
    #[must_use]
    pub fn system(&self) -> &'static str {
        self.current.system()
    }

    /// These points as the SDK collects them, for the push.
    pub fn collect(&self, points: Vec<Point>) -> ResourceMetrics {
        let _one = self.collecting.lock();
        self.current.set(points);
        let mut collected = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut collected) {
            tracing::error!("the SDK did not collect: {error}");
        }
        collected
    }

    /// These points as `opentelemetry-prometheus` gathers them, for the pull.
    pub fn gather(&self, points: Vec<Point>) -> Vec<MetricFamily> {
        let _one = self.collecting.lock();
        self.current.set(points);
        self.registry.gather()
    }
}

/// The metrics that a target of this system can have: only for these are there instruments.
#[must_use]
pub fn metrics_of(source: &Source) -> Vec<&'static Metric> {
    let of_records = |metric: &&&Metric| source.delivery_log.is_some() && vocabulary::OF_RECORDS.contains(metric);
    let named = |metric: &&&Metric| {
        vocabulary::OF_EVERY_TARGET.contains(metric) || of_records(metric) || source.rules().any(|(_, rule)| rule.metric == **metric)
    };
    vocabulary::ALL.iter().filter(named).copied().collect()
}

/// Each instrument allocates room for its limit of series when it is made (for 2,000 if nobody says); a metric with closed
/// attributes needs far fewer.
fn room(instrument: &Instrument) -> Option<Stream> {
    let metric = vocabulary::ALL.iter().find(|metric| metric.name == instrument.name())?;
    Stream::builder().with_cardinality_limit(series_max(metric)).build().ok()
}

fn series_max(metric: &Metric) -> usize {
    let open = |attribute: &&&Attribute| attribute.values.is_empty();
    if metric.attributes.iter().chain(metric.detail).any(|a| open(&a)) {
        return POINTS_PER_METRIC_MAX;
    }
    // One more for each attribute that may be missing, and one for the SDK's overflow point.
    metric.attributes.iter().map(|a| a.values.len() + 1).product::<usize>() + 1
}

/// The newtype that lets one exporter be the provider's reader and ours.
#[derive(Clone, Debug)]
struct SharedReader(Arc<PrometheusExporter>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<SdkPipeline>) {
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
