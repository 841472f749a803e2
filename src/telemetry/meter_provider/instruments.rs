//! The observable instruments of canonical metrics, which report the points of the current reading.
//!
//! # Callbacks only read
//!
//! The reading is awaited before the SDK collects. A callback does no I/O, waits only for a lock that is held briefly, creates no
//! instruments (that deadlocks in opentelemetry_sdk 0.33.1) and never panics (that would disable the provider permanently).

use super::{SCOPE, SharedReader};
use crate::model::{Kind, Metric, Number, Point, vocabulary};
use foldhash::fast::RandomState;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// The smallest limit of series, so that a metric with few series does not need a new provider when another one is added.
const SERIES_LIMIT_MIN: usize = 4;

/// The instruments of the metrics that a target has had so far. There are none before the first points.
#[derive(Debug, Default)]
pub(super) struct Instruments {
    limits: SeriesLimits,
    provider: Option<Provider>,
}

impl Instruments {
    /// Collects these points, with new instruments if they need more than there are.
    pub(super) fn collected(&mut self, points: Vec<Point>, resource: &Resource) -> ResourceMetrics {
        if let Some(limits) = self.limits.exceeded_by(&points) {
            self.provider = Some(Provider::new(&limits, resource));
            self.limits = limits;
        }
        let Some(provider) = &self.provider else { return ResourceMetrics::default() };
        *provider.current.points.lock() = points.into();
        provider.reader.collected()
    }
}

/// A provider with its instruments and its reader.
#[derive(Debug)]
struct Provider {
    reader: SharedReader,
    current: CurrentPoints,
    /// Kept because dropping it would shut down the reader.
    _provider: SdkMeterProvider,
}

impl Provider {
    fn new(limits: &SeriesLimits, resource: &Resource) -> Self {
        let (reader, current) = (SharedReader::default(), CurrentPoints::default());
        let of_view = limits.clone();
        let view = move |instrument: &Instrument| Stream::builder().with_cardinality_limit(*of_view.0.get(instrument.name())?).build().ok();
        let provider = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader.clone()).with_view(view).build();
        let meter = provider.meter(SCOPE);
        for metric in vocabulary::ALL.iter().filter(|metric| limits.0.contains_key(metric.name)) {
            create_observable_instrument(&meter, metric, &current);
        }
        Self { reader, current, _provider: provider }
    }
}

/// The largest number of series with attributes of each metric, by its name. The SDK keeps a series without attributes beside them.
#[derive(Clone, Debug, Default)]
struct SeriesLimits(HashMap<&'static str, usize, RandomState>);

impl SeriesLimits {
    /// Larger limits, if these points exceed those. The SDK removes the series of a gauge that have ended only after it has added the new
    /// ones, so a limit is at least twice the number of points.
    fn exceeded_by(&self, points: &[Point]) -> Option<Self> {
        let mut counts: HashMap<&'static str, usize, RandomState> = HashMap::default();
        for point in points {
            *counts.entry(point.metric.name).or_default() += usize::from(!point.attributes.is_empty());
        }
        let limit_of = |count: usize| if count == 0 { 1 } else { (2 * count).next_power_of_two().max(SERIES_LIMIT_MIN) };
        let is_exceeded = |(name, count): (&&'static str, &usize)| self.0.get(name).is_none_or(|limit| *limit < 2 * count);
        counts.iter().any(is_exceeded).then(|| {
            let mut limits = self.clone();
            for (name, count) in counts {
                let limit = limits.0.entry(name).or_default();
                *limit = limit_of(count).max(*limit);
            }
            limits
        })
    }
}

/// The points that the callbacks report. They are set before each collection.
#[derive(Clone, Debug, Default)]
struct CurrentPoints {
    points: Arc<Mutex<Arc<[Point]>>>,
}

impl CurrentPoints {
    fn observe<T>(&self, metric: &'static Metric, instrument: &dyn AsyncInstrument<T>, number: impl Fn(f64) -> T) {
        let points = self.points.lock().clone();
        for point in points.iter().filter(|point| *point.metric == *metric) {
            instrument.observe(number(point.value), &attributes(point));
        }
    }
}

/// The attributes of a point, sorted: in any other order, the SDK would look for a series twice, and store it twice.
fn attributes(point: &Point) -> SmallVec<[KeyValue; 4]> {
    let attributes = point.attributes.iter().map(|(attribute, value)| KeyValue::new(attribute.key, Value::from(value.clone())));
    let mut attributes: SmallVec<[KeyValue; 4]> = attributes.collect();
    attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    attributes
}

/// Creates the observable instrument of a metric. The SDK has none for histograms that servers aggregated; `report` adds those,
/// and `record_histograms` has those of delivery records.
fn create_observable_instrument(meter: &Meter, metric: &'static Metric, current: &CurrentPoints) {
    let current = current.clone();
    match (metric.kind, metric.number) {
        (Kind::Counter, Number::Int) => {
            let builder = meter.u64_observable_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
            builder.with_callback(move |instrument| current.observe(metric, instrument, |n| n as u64)).build();
        }
        (Kind::Counter, Number::Float) => {
            let builder = meter.f64_observable_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
            builder.with_callback(move |instrument| current.observe(metric, instrument, |n| n)).build();
        }
        (Kind::UpDownCounter, Number::Int) => {
            let builder = meter.i64_observable_up_down_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
            builder.with_callback(move |instrument| current.observe(metric, instrument, |n| n as i64)).build();
        }
        (Kind::UpDownCounter, Number::Float) => {
            let builder = meter.f64_observable_up_down_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
            builder.with_callback(move |instrument| current.observe(metric, instrument, |n| n)).build();
        }
        (Kind::Gauge, Number::Int) => {
            let builder = meter.i64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.help);
            builder.with_callback(move |instrument| current.observe(metric, instrument, |n| n as i64)).build();
        }
        (Kind::Gauge, Number::Float) => {
            let builder = meter.f64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.help);
            builder.with_callback(move |instrument| current.observe(metric, instrument, |n| n)).build();
        }
        (Kind::Histogram, _) => {}
    }
}
