//! The messages of `io.prometheus.client` that a Protobuf page consists of, and a reader of such pages.

#![allow(clippy::expect_used, clippy::unwrap_used)]
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub timestamp: Option<Timestamp>,
}

/// A `Gauge` or an `Untyped`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Gauge {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Counter {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
    #[prost(message, optional, tag = "2")]
    pub exemplar: Option<Exemplar>,
    #[prost(message, optional, tag = "3")]
    pub created_timestamp: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Quantile {
    #[prost(double, optional, tag = "1")]
    pub quantile: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    pub created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub exemplar: Option<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub created_timestamp: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    pub exemplars: Vec<Exemplar>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    pub untyped: Option<Gauge>,
    #[prost(int64, optional, tag = "6")]
    pub timestamp_ms: Option<i64>,
    #[prost(message, optional, tag = "7")]
    pub histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub help: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    pub unit: Option<String>,
}

/// The families of a page. Panics if it is not valid.
pub fn families(mut page: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut page).expect("a family"));
    }
    families
}

impl Histogram {
    /// The native buckets that are not empty, by index, and their counts.
    pub fn native(&self) -> Vec<(i32, i64)> {
        let (mut index, mut count, mut buckets) = (0, 0, Vec::new());
        let mut deltas = self.positive_delta.iter();
        for span in &self.positive_span {
            index += span.offset.expect("an offset");
            for _ in 0..span.length.expect("a length") {
                count += deltas.next().expect("a delta for each bucket");
                buckets.push((index, count));
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None, "a delta without a bucket");
        buckets.into_iter().filter(|(_, count)| *count != 0).collect()
    }
}

impl MetricFamily {
    /// The families as lines of text 0.0.4, with the start time of a series and exemplars in comments. Quantiles without a value and missing
    /// sums are left out.
    pub fn text(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let kind = ["counter", "gauge", "summary", "untyped", "histogram"][self.r#type.expect("a type") as usize];
        let mut text = format!(
            "# {name} {kind} unit={} help={}\n",
            self.unit.as_deref().unwrap_or_default(),
            self.help.as_deref().unwrap_or_default()
        );
        for metric in &self.metric {
            let labels: Vec<String> = metric.label.iter().map(|pair| label(pair, "\"")).collect();
            let timestamp = metric.timestamp_ms.map_or(String::new(), |ms| format!(" {ms}"));
            let mut line = |suffix: &str, more: Option<String>, value: f64, extra: String| {
                let labels: Vec<String> = labels.iter().cloned().chain(more).collect();
                let value = if value.is_infinite() { format!("{value:+}").replace("inf", "Inf") } else { value.to_string() };
                text += &format!("{name}{suffix}{{{}}} {value}{timestamp}{extra}\n", labels.join(","));
            };
            if let Some(gauge) = metric.gauge.or(metric.untyped) {
                line("", None, gauge.value.expect("a value"), String::new());
            }
            if let Some(counter) = &metric.counter {
                line("", None, counter.value.expect("a value"), exemplar(&counter.exemplar) + &created(counter.created_timestamp));
            }
            if let Some(summary) = &metric.summary {
                for quantile in &summary.quantile {
                    line(
                        "",
                        Some(format!("quantile=\"{}\"", quantile.quantile.expect("a quantile"))),
                        quantile.value.expect("a value"),
                        String::new(),
                    );
                }
                line("_sum", None, summary.sample_sum.unwrap_or(f64::NAN), String::new());
                line("_count", None, summary.sample_count.map_or(f64::NAN, |count| count as f64), created(summary.created_timestamp));
            }
            if let Some(histogram) = &metric.histogram {
                for bucket in &histogram.bucket {
                    let bound = bucket.upper_bound.expect("a bound");
                    let bound = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
                    line(
                        "_bucket",
                        Some(format!("le=\"{bound}\"")),
                        bucket.cumulative_count.expect("a count") as f64,
                        exemplar(&bucket.exemplar),
                    );
                }
                line("_sum", None, histogram.sample_sum.unwrap_or(f64::NAN), String::new());
                line("_count", None, histogram.sample_count.expect("a count") as f64, created(histogram.created_timestamp));
            }
        }
        text
    }
}

fn label(pair: &LabelPair, quote: &str) -> String {
    format!("{}={quote}{}{quote}", pair.name.as_deref().expect("a name"), pair.value.as_deref().expect("a value"))
}

fn exemplar(exemplar: &Option<Exemplar>) -> String {
    exemplar.as_ref().map_or(String::new(), |exemplar| {
        let labels: Vec<String> = exemplar.label.iter().map(|pair| label(pair, "")).collect();
        let time = exemplar.timestamp.map_or(String::new(), |time| format!(" @{}.{:09}", time.seconds, time.nanos));
        format!(" # {} {}{time}", labels.join(","), exemplar.value.expect("a value"))
    })
}

fn created(time: Option<Timestamp>) -> String {
    time.map_or(String::new(), |time| format!(" since {}.{:09}", time.seconds, time.nanos))
}
