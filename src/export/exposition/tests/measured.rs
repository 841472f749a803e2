//! Histograms that are counted from delivery records: classic and native buckets, and exemplars that lead to records.

use super::protobuf::metric_family::families;
use super::*;
use crate::model::vocabulary::{DELIVERY_DURATION, PROVIDER_NAME};
use crate::model::{MeasuredExemplar, MeasuredHistogram, RecordUid, TranslationStrategy, UID_BYTES};
use crate::poll::{PollError, Reading};
use crate::telemetry::RecordHistogram;
use smallvec::smallvec;
use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

const SECOND: u64 = 1_000_000_000;
const SINCE: u64 = 1_795_871_000;

/// A histogram of these values, whose records have the numbers of the values as identities.
fn histogram(provider: &'static str, values: &[f64]) -> RecordHistogram {
    let mut histogram = MeasuredHistogram::new(&[1.0, 5.0]);
    for (i, value) in values.iter().enumerate() {
        let nanos = (SINCE + 10 + i as u64) * SECOND;
        histogram.observe(MeasuredExemplar { uid: RecordUid::new([i as u8; UID_BYTES]), value: *value, nanos });
    }
    let attributes = smallvec![(&PROVIDER_NAME, Cow::Borrowed(provider))];
    RecordHistogram { metric: &DELIVERY_DURATION, attributes, histogram, since: SystemTime::UNIX_EPOCH + Duration::from_secs(SINCE) }
}

fn page(histograms: &[RecordHistogram], format: Format) -> Vec<u8> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(SINCE + 60);
    let reading = Reading {
        at,
        began: Instant::now(),
        ended: Instant::now(),
        outcome: Err(PollError::Late(Duration::ZERO)),
        native: Arc::default(),
        parts: Vec::new(),
        body_bytes: 0,
        tally: Default::default(),
        tally_since: at,
    };
    let families = super::super::histograms("kumomta", None, &reading, histograms, TranslationStrategy::default());
    render_bytes(format, &[Section::of_postmeter(Arc::new(families))])
}

#[test]
fn openmetrics_has_exemplars_with_the_identity_of_the_record() {
    let page = page(&[histogram("a", &[0.5, 0.75, 3.0, 60.0])], OPEN_METRICS);
    let uid = |n: &str| n.repeat(UID_BYTES);
    let labels = "mail_provider_name=\"a\",mail_system_name=\"kumomta\"";
    let expected = format!(
        "# TYPE mail_delivery_duration_seconds histogram\n# UNIT mail_delivery_duration_seconds seconds\n\
         # HELP mail_delivery_duration_seconds Time from queueing to delivery or final failure.\n\
         mail_delivery_duration_seconds_bucket{{{labels},le=\"1.0\"}} 2 # {{log_record_uid=\"{}\"}} 0.75 1795871011\n\
         mail_delivery_duration_seconds_bucket{{{labels},le=\"5.0\"}} 3 # {{log_record_uid=\"{}\"}} 3 1795871012\n\
         mail_delivery_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 4 # {{log_record_uid=\"{}\"}} 60 1795871013\n\
         mail_delivery_duration_seconds_sum{{{labels}}} 64.25\nmail_delivery_duration_seconds_count{{{labels}}} 4\n# EOF\n",
        uid("01"),
        uid("02"),
        uid("03")
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&String::from_utf8(page).unwrap()), sorted(&expected));
}

#[test]
fn protobuf_has_native_buckets_beside_the_classic_ones() {
    // 0.5 and 1 are upper bounds, and 100 is far from the others, so there are two spans.
    let values = [0.0, 0.5, 1.0, 1.0, 1.001, 100.0];
    let families = families(&page(&[histogram("a", &values), histogram("b", &[2.0])], Format::Protobuf(Escaping::Underscores)));
    let [family] = &families[..] else { panic!("{families:?}") };
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    let classic: Vec<u64> = histogram.bucket.iter().map(|bucket| bucket.cumulative_count.unwrap()).collect();
    assert_eq!((classic, histogram.sample_count), (vec![4, 5, 6], Some(6)));
    assert_eq!((histogram.zero_count, histogram.zero_threshold), (Some(1), Some(2f64.powi(-128))));
    let schema = histogram.schema.unwrap();
    let base = 2f64.powf(2f64.powi(-schema));
    let native = histogram.native();
    let bounds = |index: i32| (base.powi(index - 1), base.powi(index));
    let in_bucket = |index: i32| {
        let (lower, upper) = bounds(index);
        values.iter().filter(|value| **value > lower * (1.0 + 1e-9) && **value <= upper * (1.0 + 1e-9)).count() as i64
    };
    assert_eq!(native.iter().map(|(index, _)| in_bucket(*index)).collect::<Vec<_>>(), native.iter().map(|(_, n)| *n).collect::<Vec<_>>());
    assert_eq!(native.iter().map(|(_, n)| n).sum::<i64>(), 5);
    assert!(native.iter().any(|(index, n)| *index == 0 && *n == 2), "1 is the upper bound of bucket 0: {native:?}");
    assert_eq!(histogram.exemplars.len(), 3);
    let last = &histogram.exemplars[2];
    assert_eq!((last.value, last.timestamp.unwrap().seconds), (Some(100.0), SINCE as i64 + 15));
    assert_eq!(last.label[0].name.as_deref(), Some("log_record_uid"));
    assert_eq!(last.label[0].value.as_deref(), Some("05".repeat(UID_BYTES).as_str()));
    assert_eq!(family.metric[1].histogram.as_ref().unwrap().native().len(), 1);
}

#[test]
fn a_histogram_of_a_server_has_no_native_buckets() {
    let section = Section::without_identity(native("# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_count 4\n"));
    let families = families(&render_bytes(Format::Protobuf(Escaping::Underscores), &[section]));
    let histogram = families[0].metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.schema, histogram.zero_threshold, histogram.positive_span.len()), (None, None, 0));
}
