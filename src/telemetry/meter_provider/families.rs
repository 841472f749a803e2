//! Conversion of what a Prometheus registry gathers into families.

use crate::model::{FamiliesBuilder, FamilyType, Histogram, ReadingLimits, SelectedFamilies};
use prometheus::proto::{Metric, MetricFamily, MetricType};

/// Converts gathered families, with those labels for whose names `keep_label` returns true.
pub(in crate::telemetry) fn families_from(gathered: &[MetricFamily], keep_label: impl Fn(&str) -> bool) -> SelectedFamilies {
    // No limits: the number of series is limited by the instruments.
    let mut out = FamiliesBuilder::new("", ReadingLimits::NONE);
    for family in gathered {
        let kind = match family.get_field_type() {
            MetricType::COUNTER => FamilyType::Counter,
            MetricType::GAUGE => FamilyType::Gauge,
            MetricType::HISTOGRAM => FamilyType::Histogram,
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        let (name, help) = (out.add_text(family.name()), out.add_text(family.help()));
        out.family(name, help, kind);
        for metric in family.get_metric() {
            let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
            let mut labels: Vec<(&str, &str)> = labels.filter(|(name, _)| keep_label(name)).collect();
            // A registry adds job and instance in any order.
            labels.sort_unstable();
            for (name, value) in labels {
                let (name, value) = (out.add_text(name), out.add_text(value));
                out.label(name, value);
            }
            match kind {
                FamilyType::Counter => out.number(metric.get_counter().get_value()),
                FamilyType::Histogram => out.histogram(histogram(metric)),
                _ => out.number(metric.get_gauge().get_value()),
            }
        }
    }
    SelectedFamilies::unfiltered(out.finish())
}

fn histogram(metric: &Metric) -> Histogram {
    let gathered = metric.get_histogram();
    let finite = || gathered.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    Histogram {
        bounds: finite().map(|bucket| bucket.upper_bound()).collect(),
        cumulative: finite().map(|bucket| bucket.cumulative_count()).collect(),
        sum: Some(gathered.get_sample_sum()),
        count: gathered.get_sample_count(),
    }
}
