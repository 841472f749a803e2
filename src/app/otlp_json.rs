//! OTLP metrics in the JSON encoding of protobuf (ProtoJSON), as the OpenTelemetry protocol specifies it.
//!
//! # Why not serde
//!
//! The serde implementation of `opentelemetry-proto` writes unset fields and non-finite numbers as `null`. ProtoJSON omits unset fields,
//! writes 64-bit integers as strings, enumerations as numbers, and non-finite numbers as strings.

use crate::net::hex;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, SummaryDataPoint,
    exemplar, exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

/// Encodes a request as ProtoJSON.
pub(super) fn proto_json(request: &ExportMetricsServiceRequest) -> Value {
    Message::default().list("resourceMetrics", &request.resource_metrics, resource_metrics).into()
}

/// A message in progress. Fields with the default value of their type are omitted.
#[derive(Default)]
struct Message(Map<String, Value>);

impl From<Message> for Value {
    fn from(message: Message) -> Self {
        Self::Object(message.0)
    }
}

impl Message {
    fn set(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn set_if(self, is_set: bool, name: &str, value: impl FnOnce() -> Value) -> Self {
        if is_set { self.set(name, value()) } else { self }
    }

    fn text(self, name: &str, text: &str) -> Self {
        self.set_if(!text.is_empty(), name, || text.into())
    }

    fn number(self, name: &str, number: impl Into<i64>) -> Self {
        let number = number.into();
        self.set_if(number != 0, name, || number.into())
    }

    fn integer(self, name: &str, integer: u64) -> Self {
        self.set_if(integer != 0, name, || integer.to_string().into())
    }

    fn double(self, name: &str, double: Option<f64>) -> Self {
        self.set_if(double.is_some(), name, || double.map_or(Value::Null, self::double))
    }

    fn list<T>(self, name: &str, items: &[T], write: impl Fn(&T) -> Value) -> Self {
        self.set_if(!items.is_empty(), name, || items.iter().map(write).collect())
    }

    fn attributes(self, name: &str, attributes: &[KeyValue]) -> Self {
        self.list(name, attributes, key_value)
    }

    fn times(self, start: u64, time: u64) -> Self {
        self.integer("startTimeUnixNano", start).integer("timeUnixNano", time)
    }
}

/// Encodes a double. Non-finite values are strings, because JSON has no numbers for them.
fn double(n: f64) -> Value {
    if n.is_nan() {
        return "NaN".into();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    n.into()
}

fn integer(n: &u64) -> Value {
    n.to_string().into()
}

fn resource_metrics(input: &ResourceMetrics) -> Value {
    let message = match &input.resource {
        Some(set) => Message::default().set("resource", resource(set)),
        None => Message::default(),
    };
    message.list("scopeMetrics", &input.scope_metrics, scope_metrics).text("schemaUrl", &input.schema_url).into()
}

fn resource(input: &Resource) -> Value {
    Message::default().attributes("attributes", &input.attributes).number("droppedAttributesCount", input.dropped_attributes_count).into()
}

fn scope_metrics(input: &ScopeMetrics) -> Value {
    let message = match &input.scope {
        Some(set) => Message::default().set("scope", scope(set)),
        None => Message::default(),
    };
    message.list("metrics", &input.metrics, metric).text("schemaUrl", &input.schema_url).into()
}

fn scope(input: &InstrumentationScope) -> Value {
    let message = Message::default().text("name", &input.name).text("version", &input.version).attributes("attributes", &input.attributes);
    message.number("droppedAttributesCount", input.dropped_attributes_count).into()
}

fn metric(input: &Metric) -> Value {
    let message = Message::default().text("name", &input.name).text("description", &input.description).text("unit", &input.unit);
    let message = message.attributes("metadata", &input.metadata);
    let points = Message::default();
    match &input.data {
        None => message,
        Some(Data::Gauge(gauge)) => message.set("gauge", points.list("dataPoints", &gauge.data_points, number_point).into()),
        Some(Data::Sum(sum)) => {
            let points = points.list("dataPoints", &sum.data_points, number_point);
            let points = points.number("aggregationTemporality", sum.aggregation_temporality);
            message.set("sum", points.set_if(sum.is_monotonic, "isMonotonic", || true.into()).into())
        }
        Some(Data::Histogram(histogram)) => {
            let points = points.list("dataPoints", &histogram.data_points, histogram_point);
            message.set("histogram", points.number("aggregationTemporality", histogram.aggregation_temporality).into())
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let points = points.list("dataPoints", &histogram.data_points, exponential_point);
            message.set("exponentialHistogram", points.number("aggregationTemporality", histogram.aggregation_temporality).into())
        }
        Some(Data::Summary(summary)) => message.set("summary", points.list("dataPoints", &summary.data_points, summary_point).into()),
    }
    .into()
}

fn number_point(input: &NumberDataPoint) -> Value {
    let message = Message::default().attributes("attributes", &input.attributes).times(input.start_time_unix_nano, input.time_unix_nano);
    let message = match input.value {
        Some(number_data_point::Value::AsDouble(n)) => message.set("asDouble", double(n)),
        Some(number_data_point::Value::AsInt(n)) => message.set("asInt", n.to_string().into()),
        None => message,
    };
    message.list("exemplars", &input.exemplars, exemplar).number("flags", input.flags).into()
}

fn histogram_point(input: &HistogramDataPoint) -> Value {
    let message = Message::default().attributes("attributes", &input.attributes).times(input.start_time_unix_nano, input.time_unix_nano);
    let message = message.integer("count", input.count).double("sum", input.sum);
    let message =
        message.list("bucketCounts", &input.bucket_counts, integer).list("explicitBounds", &input.explicit_bounds, |n| double(*n));
    let message = message.list("exemplars", &input.exemplars, exemplar).number("flags", input.flags);
    message.double("min", input.min).double("max", input.max).into()
}

fn exponential_point(input: &ExponentialHistogramDataPoint) -> Value {
    let message = Message::default().attributes("attributes", &input.attributes).times(input.start_time_unix_nano, input.time_unix_nano);
    let mut message = message.integer("count", input.count).double("sum", input.sum).number("scale", input.scale);
    message = message.integer("zeroCount", input.zero_count);
    for (name, buckets) in [("positive", &input.positive), ("negative", &input.negative)] {
        if let Some(set) = buckets {
            message = message.set(name, exponential_buckets(set));
        }
    }
    let message = message.number("flags", input.flags).list("exemplars", &input.exemplars, exemplar);
    let message = message.double("min", input.min).double("max", input.max);
    message.double("zeroThreshold", Some(input.zero_threshold).filter(|n| *n != 0.0)).into()
}

fn exponential_buckets(input: &Buckets) -> Value {
    Message::default().number("offset", input.offset).list("bucketCounts", &input.bucket_counts, integer).into()
}

fn summary_point(input: &SummaryDataPoint) -> Value {
    let message = Message::default().attributes("attributes", &input.attributes).times(input.start_time_unix_nano, input.time_unix_nano);
    let some = |n: f64| Some(n).filter(|n| *n != 0.0);
    let message = message.integer("count", input.count).double("sum", some(input.sum));
    let message = message.list("quantileValues", &input.quantile_values, |at| {
        Message::default().double("quantile", some(at.quantile)).double("value", some(at.value)).into()
    });
    message.number("flags", input.flags).into()
}

fn exemplar(input: &Exemplar) -> Value {
    let message =
        Message::default().attributes("filteredAttributes", &input.filtered_attributes).integer("timeUnixNano", input.time_unix_nano);
    let message = match input.value {
        Some(exemplar::Value::AsDouble(n)) => message.set("asDouble", double(n)),
        Some(exemplar::Value::AsInt(n)) => message.set("asInt", n.to_string().into()),
        None => message,
    };
    // OTLP encodes IDs in hexadecimal digits, unlike other bytes.
    message.text("spanId", &hex(&input.span_id)).text("traceId", &hex(&input.trace_id)).into()
}

fn key_value(input: &KeyValue) -> Value {
    let message = Message::default().text("key", &input.key);
    match &input.value {
        Some(set) => message.set("value", any_value(set)),
        None => message,
    }
    .into()
}

fn any_value(input: &AnyValue) -> Value {
    let message = Message::default();
    match &input.value {
        Some(any_value::Value::StringValue(text)) => message.set("stringValue", text.as_str().into()),
        Some(any_value::Value::BoolValue(truth)) => message.set("boolValue", (*truth).into()),
        Some(any_value::Value::IntValue(n)) => message.set("intValue", n.to_string().into()),
        Some(any_value::Value::DoubleValue(n)) => message.set("doubleValue", double(*n)),
        Some(any_value::Value::ArrayValue(array)) => {
            message.set("arrayValue", Message::default().list("values", &array.values, any_value).into())
        }
        Some(any_value::Value::KvlistValue(list)) => {
            message.set("kvlistValue", Message::default().attributes("values", &list.values).into())
        }
        Some(any_value::Value::BytesValue(bytes)) => message.set("bytesValue", base64(bytes).into()),
        // The remaining variants refer to a string table, which metrics do not have.
        Some(_) | None => message,
    }
    .into()
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::metrics::v1::{Histogram, Sum};
    use serde_json::json;

    fn number(value: number_data_point::Value) -> Metric {
        let point = NumberDataPoint { time_unix_nano: 1_785_578_400_000_000_001, value: Some(value), ..Default::default() };
        let sum = Sum { data_points: vec![point], aggregation_temporality: 2, is_monotonic: true };
        Metric { name: "n".to_owned(), data: Some(Data::Sum(sum)), ..Default::default() }
    }

    #[test]
    fn numbers_are_encoded_as_proto_json_specifies() {
        for (value, name, expected) in [
            (number_data_point::Value::AsInt(0), "asInt", json!("0")),
            (number_data_point::Value::AsInt(i64::MIN), "asInt", json!("-9223372036854775808")),
            (number_data_point::Value::AsDouble(0.0), "asDouble", json!(0.0)),
            (number_data_point::Value::AsDouble(0.25), "asDouble", json!(0.25)),
            (number_data_point::Value::AsDouble(f64::NAN), "asDouble", json!("NaN")),
            (number_data_point::Value::AsDouble(f64::INFINITY), "asDouble", json!("Infinity")),
            (number_data_point::Value::AsDouble(f64::NEG_INFINITY), "asDouble", json!("-Infinity")),
        ] {
            let point = json!({"timeUnixNano": "1785578400000000001", name: expected});
            let sum = json!({"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": true});
            assert_eq!(metric(&number(value)), json!({"name": "n", "sum": sum}));
        }
    }

    #[test]
    fn unset_fields_are_omitted() {
        assert_eq!(proto_json(&ExportMetricsServiceRequest::default()), json!({}));
        let request = ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics::default()] };
        assert_eq!(proto_json(&request), json!({"resourceMetrics": [{}]}));
        let point =
            HistogramDataPoint { bucket_counts: vec![0, 3], explicit_bounds: vec![0.0], count: 3, sum: Some(0.0), ..Default::default() };
        let histogram = Histogram { data_points: vec![point], aggregation_temporality: 2 };
        let encoded = metric(&Metric { data: Some(Data::Histogram(histogram)), ..Default::default() });
        let point = json!({"count": "3", "sum": 0.0, "bucketCounts": ["0", "3"], "explicitBounds": [0.0]});
        assert_eq!(encoded, json!({"histogram": {"dataPoints": [point], "aggregationTemporality": 2}}));
    }

    #[test]
    fn attributes_have_the_type_of_their_value() {
        for (value, expected) in [
            (any_value::Value::StringValue(String::new()), json!({"stringValue": ""})),
            (any_value::Value::BoolValue(false), json!({"boolValue": false})),
            (any_value::Value::IntValue(443), json!({"intValue": "443"})),
            (any_value::Value::DoubleValue(f64::NAN), json!({"doubleValue": "NaN"})),
            (any_value::Value::BytesValue(vec![0xff]), json!({"bytesValue": "/w=="})),
        ] {
            assert_eq!(any_value(&AnyValue { value: Some(value) }), expected);
        }
    }
}
