//! Canonical metrics that have no instrument, as families: the histograms of readings, and `target_info`.

use crate::model::unix_nanos;
use crate::model::{
    Attributes, FamiliesBuilder, FamilyType, Histogram, MeasuredHistogram, Metric, ReadingLimits, SelectedFamilies, TARGET_INFO,
    TranslationStrategy, vocabulary,
};
use crate::poll::Reading;
use crate::telemetry::{CounterStarts, Identity, RECORD_UID, RecordHistogram};
use std::borrow::Cow;
use std::collections::BTreeMap;

fn build(fill: impl FnOnce(&mut FamiliesBuilder<'_>)) -> SelectedFamilies {
    // The metrics are not input: their number is bounded where they are created.
    let mut out = FamiliesBuilder::new("", ReadingLimits::NONE);
    fill(&mut out);
    SelectedFamilies::unfiltered(out.finish())
}

fn begin(out: &mut FamiliesBuilder<'_>, name: &str, help: &str, kind: FamilyType) {
    let (name, help) = (out.add_text(name), out.add_text(help));
    out.family(name, help, kind);
}

fn label(out: &mut FamiliesBuilder<'_>, name: &str, value: &str) {
    let (name, value) = (out.add_text(name), out.add_text(value));
    out.label(name, value);
}

/// Converts the histograms of a reading, and those that are counted from delivery records, with the labels `job` and `instance` if there is
/// an identity. The SDK has no instrument for either.
#[must_use]
pub fn histograms(
    system: &str,
    identity: Option<&Identity>,
    reading: &Reading,
    records: &[RecordHistogram],
    translation: TranslationStrategy,
) -> SelectedFamilies {
    let start = CounterStarts::of(reading).server().map(unix_nanos);
    let polled = reading.snapshot().into_iter().flat_map(|snapshot| &snapshot.histograms);
    let polled = polled.map(|(metric, attributes, histogram)| Series {
        metric,
        attributes,
        start,
        histogram: Cow::Borrowed(histogram),
        measured: None,
    });
    let counted = records.iter().map(|record| Series {
        metric: record.metric,
        attributes: &record.attributes,
        start: Some(unix_nanos(record.since)),
        histogram: Cow::Owned(record.histogram.classic()),
        measured: Some(&record.histogram),
    });
    let mut sorted: Vec<_> = polled.chain(counted).collect();
    sorted.sort_by_key(|series| series.metric.name);
    let uid_label = translation.label_name(RECORD_UID);
    build(|out| {
        for of_metric in sorted.chunk_by(|a, b| a.metric == b.metric) {
            let metric = of_metric[0].metric;
            begin(out, &translation.name_of(metric), metric.help, FamilyType::Histogram);
            let unit = out.add_text(&translation.unit_suffix(metric.unit, FamilyType::Histogram));
            out.unit(unit);
            for series in of_metric {
                let mut labels: BTreeMap<Cow<'_, str>, &str> =
                    series.attributes.iter().map(|(attribute, value)| (translation.label_name(attribute.key), value.as_ref())).collect();
                labels.insert(translation.label_name(vocabulary::SYSTEM_NAME.key), system);
                if let Some(identity) = identity {
                    labels.extend([("instance".into(), identity.instance()), ("job".into(), identity.job())]);
                }
                for (name, value) in labels {
                    label(out, &name, value);
                }
                out.histogram(series.histogram.clone().into_owned());
                if let Some(start) = series.start {
                    out.created_of_last(start);
                }
                if let Some(measured) = series.measured {
                    out.exponential(measured.exponential.clone());
                    for exemplar in measured.exemplars() {
                        let uid = exemplar.uid.text();
                        out.exemplar(std::iter::once((uid_label.as_ref(), uid.as_str())), exemplar.value, exemplar.nanos);
                    }
                }
            }
        }
    })
}

/// A histogram with its labels.
struct Series<'a> {
    metric: &'static Metric,
    attributes: &'a Attributes,
    start: Option<u64>,
    histogram: Cow<'a, Histogram>,
    /// The exponential buckets and exemplars of a histogram that Postmeter measures itself.
    measured: Option<&'a MeasuredHistogram>,
}

/// Creates the family `target_info` with the resource attributes of targets.
#[must_use]
pub fn target_info<'a>(identities: impl IntoIterator<Item = &'a Identity>, translation: TranslationStrategy) -> SelectedFamilies {
    build(|out| {
        begin(out, TARGET_INFO, "Attributes of the target's resource.", FamilyType::Gauge);
        for identity in identities {
            let mut labels: BTreeMap<Cow<'_, str>, String> = BTreeMap::new();
            for (name, value) in identity.info(translation) {
                // Keys that map to the same label have their values joined, as the compatibility specification requires.
                labels.entry(name).and_modify(|v| *v = format!("{v};{value}")).or_insert_with(|| value.to_owned());
            }
            labels.insert("job".into(), identity.job().to_owned());
            labels.insert("instance".into(), identity.instance().to_owned());
            for (name, value) in labels {
                label(out, &name, &value);
            }
            out.number(1.0);
        }
    })
}
