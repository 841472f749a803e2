//! Native labels with names that Prometheus reserves.
//!
//! # Renamed once, before every export
//!
//! `job` and `instance` name the target, `__name__` names the metric, and `le` and `quantile` identify the lines of a distribution. When
//! Prometheus scrapes, it renames such labels (`exported_job`); its OTLP receiver overwrites them, which merges series that differ in
//! nothing else. They are renamed when families are selected, like Prometheus does, so that every export has the same names.

use super::families::{Families, Label};
use super::{FamilyType, METRIC_NAME_LABEL, TARGET_INFO, is_metric_name_label};
use std::collections::HashMap;

/// The prefix of a renamed label, as in Prometheus. It is repeated until no other label of the series has the name.
const EXPORTED: &str = "exported_";

/// Returns true if a label of this name is reserved in a family of this type.
fn is_reserved(name: &[u8], kind: FamilyType) -> bool {
    match name {
        b"job" | b"instance" => true,
        b"le" => kind == FamilyType::Histogram,
        b"quantile" => kind == FamilyType::Summary,
        // Also names that become `__name__` where Prometheus translates them.
        name => name.len() >= METRIC_NAME_LABEL.len() && std::str::from_utf8(name).is_ok_and(is_metric_name_label),
    }
}

/// Renames the reserved labels of all series and returns their number. `target_info` keeps its labels, which become resource attributes.
pub(super) fn rename_reserved_labels(body: &mut Families) -> u64 {
    // Nearly all bodies have none.
    let kinds = [FamilyType::Unknown, FamilyType::Histogram, FamilyType::Summary];
    let any = |name: &[u8]| kinds.iter().any(|kind| is_reserved(name, *kind));
    if !body.names.iter().any(|name| any(body.bytes(name.text))) {
        return 0;
    }
    let mut renamed = 0;
    let mut names: HashMap<String, u16> = HashMap::new();
    for index in 0..body.families.len() {
        let family = body.families[index];
        if body.text(family.name) == TARGET_INFO {
            continue;
        }
        for sample in family.first..family.end {
            let labels = body.labels_of(sample);
            for label in labels.clone() {
                let name = body.label_name(body.labels[label]);
                if !is_reserved(body.bytes(name), family.kind) {
                    continue;
                }
                let new_name = unused_name(body, labels.clone(), body.text(name), |other| other.value().len() > 0);
                // To Prometheus, an empty label is a missing one. It makes room.
                if let Some(empty) = named(body, labels.clone(), &new_name) {
                    let free = unused_name(body, labels.clone(), &new_name, |_| true);
                    let Some(index) = index_of_name(body, &mut names, free) else { continue };
                    body.labels[empty].name = index;
                }
                let Some(index) = index_of_name(body, &mut names, new_name) else { continue };
                body.labels[label].name = index;
                renamed += 1;
            }
        }
    }
    body.series_may_repeat();
    renamed
}

/// Renames the label with the state in each stateset, which has the name of its family, like the family: with this prefix. A series that
/// has a label with the new name is left unchanged.
pub(super) fn prefix_state_labels(body: &mut Families, prefix: &str) {
    for index in 0..body.families.len() {
        let family = body.families[index];
        if family.kind != FamilyType::StateSet || prefix.is_empty() {
            continue;
        }
        let new_name = format!("{prefix}{}", body.text(family.name));
        let mut new_index = None;
        for sample in family.first..family.end {
            let labels = body.labels_of(sample);
            let with_name = |name: &str| named(body, labels.clone(), name);
            let Some(label) = with_name(body.text(family.name)).filter(|_| with_name(&new_name).is_none()) else { continue };
            new_index = new_index.or_else(|| body.add_label_name(&new_name));
            if let Some(name) = new_index {
                body.labels[label].name = name;
            }
        }
        // A series can have had the new name.
        body.series_may_repeat();
    }
}

/// The name with as many prefixes as necessary to differ from the other labels that count.
fn unused_name(body: &Families, labels: std::ops::Range<usize>, name: &str, counts: impl Fn(&Label) -> bool) -> String {
    let mut unused = format!("{EXPORTED}{name}");
    let others = || body.labels.get(labels.clone()).unwrap_or_default().iter().filter(|other| counts(other));
    while others().any(|other| body.text(body.label_name(*other)) == unused) {
        unused.insert_str(0, EXPORTED);
    }
    unused
}

/// The index of the label with this name.
fn named(body: &Families, mut labels: std::ops::Range<usize>, name: &str) -> Option<usize> {
    labels.find(|label| body.text(body.label_name(body.labels[*label])) == name)
}

/// The index of a label name, which is added if it is new.
fn index_of_name(body: &mut Families, names: &mut HashMap<String, u16>, name: String) -> Option<u16> {
    let index = names.get(&name).copied().or_else(|| body.add_label_name(&name))?;
    names.insert(name, index);
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;

    #[track_caller]
    fn renames(text: &str, expected: &[&str], count: u64) {
        let mut body = prometheus::read(text.to_owned()).unwrap();
        assert_eq!(rename_reserved_labels(&mut body), count, "{text}");
        assert_eq!(lines(&body), expected, "{text}");
    }

    fn lines(body: &Families) -> Vec<String> {
        body.iter()
            .flat_map(|family| family.samples().map(move |sample| (family, sample)))
            .map(|(family, sample)| {
                let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{}{{{}}}", family.name(), labels.join(","))
            })
            .collect()
    }

    #[test]
    fn the_label_of_a_state_gets_the_prefix_of_its_family() {
        let text = "# TYPE st stateset\nst{st=\"a\",l=\"st\"} 1\nst{l=\"1\",st=\"b\"} 0\nst{k_st=\"x\",st=\"c\"} 0\nst{l=\"2\"} 0\n\
                    # TYPE g gauge\ng{g=\"a\",st=\"b\"} 1\n# EOF\n";
        for (prefix, expected) in [
            ("k_", ["st{k_st=a,l=st}", "st{l=1,k_st=b}", "st{k_st=x,st=c}", "st{l=2}", "g{g=a,st=b}"]),
            ("", ["st{st=a,l=st}", "st{l=1,st=b}", "st{k_st=x,st=c}", "st{l=2}", "g{g=a,st=b}"]),
        ] {
            let mut body = prometheus::read(text.to_owned()).unwrap();
            prefix_state_labels(&mut body, prefix);
            assert_eq!(lines(&body), expected, "{prefix}");
        }
    }

    #[test]
    fn reserved_labels_are_renamed_like_in_prometheus() {
        renames("a{job=\"x\",instance=\"y\",l=\"z\"} 1\n", &["a{exported_job=x,exported_instance=y,l=z}"], 2);
        renames("a{exported_job=\"x\",job=\"y\"} 1\n", &["a{exported_job=x,exported_exported_job=y}"], 1);
        renames(
            "a{job=\"y\",exported_exported_job=\"w\",exported_job=\"x\"} 1\n",
            &["a{exported_exported_exported_job=y,exported_exported_job=w,exported_job=x}"],
            1,
        );
        // To Prometheus, an empty label is a missing one.
        renames("a{job=\"x\",exported_job=\"\"} 1\n", &["a{exported_job=x,exported_exported_job=}"], 1);
        renames(
            "a{exported_job=\"\",job=\"x\",exported_exported_job=\"\"} 1\n",
            &["a{exported_exported_exported_job=,exported_job=x,exported_exported_job=}"],
            1,
        );
        renames("a{__name__=\"b\"} 1\na{jobs=\"b\",Job=\"c\"} 1\n", &["a{exported___name__=b}", "a{jobs=b,Job=c}"], 1);
        renames("a{\"--name--\"=\"b\",\"__name-\"=\"c\"} 1\n", &["a{exported_--name--=b,__name-=c}"], 1);
        renames("a{l=\"job\"} 1\n", &["a{l=job}"], 0);
        // `le` is reserved in histograms only.
        renames("a_bucket{le=\"1\"} 1\n", &["a_bucket{le=1}"], 0);
        renames("# TYPE a histogram\na_bucket{le=\"+Inf\",job=\"x\"} 1\na_count{job=\"x\"} 1\n", &["a{exported_job=x}"], 1);
        renames("# TYPE a histogram\na_count{quantile=\"1\"} 1\n# TYPE b summary\nb_count{le=\"1\"} 1\n", &["a{quantile=1}", "b{le=1}"], 0);
        renames("target_info{job=\"x\"} 1\n", &["target_info{job=x}"], 0);
    }
}
