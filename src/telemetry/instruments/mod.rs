//! Declared metrics become observable instruments that read the points of the current reading.
//!
//! # A callback only reads
//!
//! The reading is awaited before the SDK collects. A callback does no I/O, waits for nothing but a lock that is never held
//! across work, creates no instrument (that deadlocks in opentelemetry_sdk 0.33.1) and never panics (that would silence the
//! provider for good).

use crate::model::{Kind, Metric, Number, Point, vocabulary};
use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter};
use opentelemetry::{KeyValue, Value};
use parking_lot::Mutex;
use std::sync::Arc;

/// The points that the callbacks report: set before each collection.
#[derive(Clone, Debug)]
pub struct CurrentPoints {
    points: Arc<Mutex<Arc<[Point]>>>,
    system: &'static str,
}

impl CurrentPoints {
    /// Nothing yet, for a target of this mail system.
    #[must_use]
    pub fn new(system: &'static str) -> Self {
        Self { points: Arc::new(Mutex::new(Arc::from([]))), system }
    }

    /// The mail system.
    #[must_use]
    pub fn system(&self) -> &'static str {
        self.system
    }

    /// What the next collection reports.
    pub fn set(&self, points: Vec<Point>) {
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
        let own = point.attributes.iter().map(|(attribute, value)| KeyValue::new(attribute.key, Value::from(value.clone())));
        std::iter::once(system).chain(own).collect()
    }
}

/// A distribution that Postmeter measures itself, with the upper ends of its buckets.
#[must_use]
pub fn measure(meter: &Meter, metric: &'static Metric, bounds: &[f64]) -> Histogram<f64> {
    meter.f64_histogram(metric.name).with_unit(metric.unit).with_description(metric.help).with_boundaries(bounds.to_vec()).build()
}

/// One observable instrument for each metric. Histograms that servers aggregated have none in the SDK; the relay carries them.
pub fn observe(meter: &Meter, metrics: &[&'static Metric], current: &CurrentPoints) {
    for &metric in metrics {
        let current = current.clone();
        match (metric.kind, metric.number) {
            (Kind::Counter, Number::Int) => {
                let instrument = meter.u64_observable_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
                instrument.with_callback(move |to| current.observe(metric, to, |n| n as u64)).build();
            }
            (Kind::Counter, Number::Float) => {
                let instrument = meter.f64_observable_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
                instrument.with_callback(move |to| current.observe(metric, to, |n| n)).build();
            }
            (Kind::UpDownCounter, Number::Int) => {
                let instrument = meter.i64_observable_up_down_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
                instrument.with_callback(move |to| current.observe(metric, to, |n| n as i64)).build();
            }
            (Kind::UpDownCounter, Number::Float) => {
                let instrument = meter.f64_observable_up_down_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
                instrument.with_callback(move |to| current.observe(metric, to, |n| n)).build();
            }
            (Kind::Gauge, Number::Int) => {
                let instrument = meter.i64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.help);
                instrument.with_callback(move |to| current.observe(metric, to, |n| n as i64)).build();
            }
            (Kind::Gauge, Number::Float) => {
                let instrument = meter.f64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.help);
                instrument.with_callback(move |to| current.observe(metric, to, |n| n)).build();
            }
            (Kind::Histogram, _) => {}
        }
    }
}
