//! OTLP requests as a flat list of number points, for assertions.
#![allow(dead_code, reason = "not every test binary uses everything")]

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

/// A number point with its metric's name and its resource's target.
#[derive(Clone, Debug)]
pub struct Flat {
    /// `service.instance.id`.
    pub target: String,
    pub metric: String,
    pub attributes: Vec<(String, String)>,
    pub start: u64,
    pub time: u64,
    pub value: f64,
    pub flags: u32,
}

impl Flat {
    /// Returns true if the point has this attribute with this value.
    pub fn has(&self, attribute: &[&str; 2]) -> bool {
        self.attributes.iter().any(|(key, value)| key == attribute[0] && value == attribute[1])
    }
}

/// Returns true if the point ends a series (`NoRecordedValue`).
pub fn stale(point: &Flat) -> bool {
    point.flags & 1 == 1
}

/// All number points of the requests, in their order.
pub fn flatten(requests: &[ExportMetricsServiceRequest]) -> Vec<Flat> {
    let mut flat = Vec::new();
    for of_target in requests.iter().flat_map(|request| &request.resource_metrics) {
        let resource = of_target.resource.as_ref().map(|resource| strings(&resource.attributes)).unwrap_or_default();
        let target = resource.into_iter().find(|(key, _)| key == "service.instance.id").map(|(_, value)| value).unwrap_or_default();
        for metric in of_target.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let points = match &metric.data {
                Some(Data::Gauge(gauge)) => &gauge.data_points,
                Some(Data::Sum(sum)) => &sum.data_points,
                _ => continue,
            };
            flat.extend(points.iter().map(|point| Flat {
                target: target.clone(),
                metric: metric.name.clone(),
                attributes: strings(&point.attributes),
                start: point.start_time_unix_nano,
                time: point.time_unix_nano,
                value: match point.value {
                    Some(Value::AsInt(n)) => n as f64,
                    Some(Value::AsDouble(n)) => n,
                    None => f64::NAN,
                },
                flags: point.flags,
            }));
        }
    }
    flat
}

pub fn strings(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute).unwrap_or_default())).collect()
}
