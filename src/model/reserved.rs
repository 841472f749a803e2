//! Labels of a mail server whose names a Prometheus needs for itself.
//!
//! # Renamed once, before every export
//!
//! `job` and `instance` name the target, `__name__` the metric, and `le` and `quantile` the lines of a distribution. A Prometheus that
//! scrapes renames such labels of a page (`exported_job`); its OTLP receiver overwrites them, so that series which differ in nothing else
//! become one. They are renamed where families are selected, as Prometheus does it, and every export has the same names.

use super::families::{Families, Text};
use super::{FamilyType, TARGET_INFO};
use std::collections::HashMap;

/// The prefix of a label that gives way, as in Prometheus; repeated until no other label of the series has the name.
const EXPORTED: &str = "exported_";

/// Whether a family of this type cannot have a label of this name.
fn is_reserved(name: &[u8], kind: FamilyType) -> bool {
    match name {
        b"job" | b"instance" | b"__name__" => true,
        b"le" => kind == FamilyType::Histogram,
        b"quantile" => kind == FamilyType::Summary,
        _ => false,
    }
}

/// Renames reserved labels of all series and returns how many there were. The labels of `target_info` are left: they are no labels of series.
pub(super) fn rename_reserved_labels(page: &mut Families) -> u64 {
    // Nearly all pages have none; this look at each label of a million series costs no memory access beyond its length.
    let may_be = |name: &Text| matches!(name.len(), 2 | 3 | 8);
    let kinds = [FamilyType::Unknown, FamilyType::Histogram, FamilyType::Summary];
    let any = |name: &Text| may_be(name) && kinds.iter().any(|kind| is_reserved(page.bytes(*name), *kind));
    if !page.labels.iter().any(|(name, _)| any(name)) {
        return 0;
    }
    let mut renamed = 0;
    let mut kept: HashMap<String, Text> = HashMap::new();
    for at in 0..page.families.len() {
        let family = page.families[at];
        if page.text(family.name) == TARGET_INFO {
            continue;
        }
        for sample in family.first..family.end {
            let labels = page.labels_of(sample);
            for place in labels.clone() {
                let name = page.labels[place].0;
                if !may_be(&name) || !is_reserved(page.bytes(name), family.kind) {
                    continue;
                }
                let given = free_name(page, labels.clone(), page.text(name));
                let given = match kept.get(&given) {
                    Some(text) => *text,
                    None => *kept.entry(given.clone()).or_insert(page.keep(&given)),
                };
                page.labels[place].0 = given;
                renamed += 1;
            }
        }
    }
    renamed
}

/// The name with as many prefixes as it takes to be no other label's.
fn free_name(page: &Families, labels: std::ops::Range<usize>, name: &str) -> String {
    let mut given = format!("{EXPORTED}{name}");
    while page.labels.get(labels.clone()).unwrap_or_default().iter().any(|(other, _)| page.text(*other) == given) {
        given.insert_str(0, EXPORTED);
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;

    #[track_caller]
    fn renames(body: &str, expected: &[&str], count: u64) {
        let mut page = prometheus::read(body.to_owned()).unwrap();
        assert_eq!(rename_reserved_labels(&mut page), count, "{body}");
        let lines: Vec<String> = page
            .iter()
            .flat_map(|family| family.samples().map(move |sample| (family, sample)))
            .map(|(family, sample)| {
                let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{}{{{}}}", family.name(), labels.join(","))
            })
            .collect();
        assert_eq!(lines, expected, "{body}");
    }

    #[test]
    fn reserved_labels_are_renamed_as_prometheus_does_it() {
        renames("a{job=\"x\",instance=\"y\",l=\"z\"} 1\n", &["a{exported_job=x,exported_instance=y,l=z}"], 2);
        renames("a{exported_job=\"x\",job=\"y\"} 1\n", &["a{exported_job=x,exported_exported_job=y}"], 1);
        renames(
            "a{job=\"y\",exported_exported_job=\"w\",exported_job=\"x\"} 1\n",
            &["a{exported_exported_exported_job=y,exported_exported_job=w,exported_job=x}"],
            1,
        );
        renames("a{__name__=\"b\"} 1\na{jobs=\"b\",Job=\"c\"} 1\n", &["a{exported___name__=b}", "a{jobs=b,Job=c}"], 1);
        renames("a{l=\"job\"} 1\n", &["a{l=job}"], 0);
        // A bound is a label of the lines of a distribution alone.
        renames("a_bucket{le=\"1\"} 1\n", &["a_bucket{le=1}"], 0);
        renames("# TYPE a histogram\na_bucket{le=\"+Inf\",job=\"x\"} 1\na_count{job=\"x\"} 1\n", &["a{exported_job=x}"], 1);
        renames("# TYPE a histogram\na_count{quantile=\"1\"} 1\n# TYPE b summary\nb_count{le=\"1\"} 1\n", &["a{quantile=1}", "b{le=1}"], 0);
        renames("target_info{job=\"x\"} 1\n", &["target_info{job=x}"], 0);
    }
}
