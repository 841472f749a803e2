//! The instruments of canonical metrics: observable ones that report the points of the current reading, and measured histograms.
//!
//! # Callbacks only read
//!
//! The reading is awaited before the SDK collects. A callback does no I/O, waits only for a lock that is held briefly, creates no instruments
//! (that deadlocks in opentelemetry_sdk 0.33.1) and never panics (that would disable the provider permanently).

use crate::model::{Kind, Metric, Number, Point, vocabulary};
use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry::{KeyValue, Value};
use parking_lot::Mutex;
use std::sync::Arc;

/// The points that the callbacks report. They are set before each collection.
#[derive(Clone, Debug)]
pub(super) struct CurrentPoints {
    points: Arc<Mutex<Arc<[Point]>>>,
    system: &'static str,
}

impl CurrentPoints {
    /// No points, of a target with this mail system.
    pub(super) fn new(system: &'static str) -> Self {
        Self { points: Arc::new(Mutex::new(Arc::from([]))), system }
    }

    /// The mail system.
    pub(super) fn system(&self) -> &'static str {
        self.system
    }

    /// Sets the points of the next collection.
    pub(super) fn set(&self, points: Vec<Point>) {
        *self.points.lock() = points.into();
    }

    fn observe<T>(&self, metric: &'static Metric, instrument: &dyn AsyncInstrument<T>, number: impl Fn(f64) -> T) {
        let points = self.points.lock().clone();
        for point in points.iter().filter(|point| *point.metric == *metric) {
            instrument.observe(number(point.value), &self.attributes(point));
        }
    }

    fn attributes(&self, point: &Point) -> Vec<KeyValue> {
        let system = KeyValue::new(vocabulary::SYSTEM_NAME.key, self.system);
        let attributes = point.attributes.iter().map(|(attribute, value)| KeyValue::new(attribute.key, Value::from(value.clone())));
        std::iter::once(system).chain(attributes).collect()
    }
}

/// Creates an observable instrument for each metric. The SDK has none for histograms that servers aggregated; `report` adds those,
/// and `record_histograms` has those of delivery records.
pub(super) fn create_observable_instruments(meter: &Meter, metrics: &[&'static Metric], current: &CurrentPoints) {
    for &metric in metrics {
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
}
