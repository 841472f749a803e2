//! Translation of metric names by Prometheus' OTLP receiver, and native families that collide after it.
//!
//! The receiver splits a name at every character that classic Prometheus names do not allow, joins the parts by one underscore, and appends
//! the unit and `total` unless the name contains them. So `requests` and `requests_total`, or `a.b` and `a_b`, become one metric, and their
//! series may be merged. The families are exported anyway, because other receivers keep the names; collisions are counted and logged.

use super::label_collision::{LabelCollision, label_collision};
use super::{FamilyType, SelectedFamily, TranslationStrategy, is_translatable, translated_kind, vocabulary};
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// The default of the receiver.
const STRATEGY: TranslationStrategy = TranslationStrategy::UnderscoreEscapingWithSuffixes;
/// Series of a family that are compared with those of other scopes and with each other, which takes time in each poll. A server that has
/// the same series in two scopes has many of them.
const COMPARED_SERIES_MAX: usize = 1_000;
/// Collisions that are listed. All are counted.
const NAMED_MAX: usize = 16;

/// Two metrics, or two labels of one, to which a Prometheus OTLP receiver gives the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameCollision {
    /// The native family.
    pub family: String,
    /// The other native family, or the canonical metric. The same family if series of it differ only in their scope, or if its labels
    /// collide.
    pub other: String,
    /// The name of both in Prometheus.
    pub translated: String,
    /// The labels of the family that collide.
    pub labels: Option<LabelCollision>,
}

impl fmt::Display for NameCollision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, other, translated, labels } = self;
        if let Some(LabelCollision { labels: [a, b], translated }) = labels {
            write!(
                f,
                "labels {a} and {b} of {family} are both named {translated} in Prometheus after OTLP, where their values are joined or "
            )?;
            return write!(f, "their series merged; rename a label at the server, or exclude {family} with relay.exclude");
        }
        if family == other {
            write!(f, "series of {family} differ only in their scope, and Prometheus merges them after OTLP; ")?;
            return write!(
                f,
                "set promote_scope_metadata: true in the section otlp of its configuration, or exclude {family} with relay.exclude"
            );
        }
        write!(f, "{other} and {family} are both named {translated} in Prometheus after OTLP, where their series may be merged; ")?;
        write!(f, "exclude one with relay.exclude, or rename this target's metrics with relay.prefix")
    }
}

/// The collisions of one reading.
#[derive(Debug, Default)]
pub(super) struct NameCollisions {
    /// The number of families that have the name of another metric.
    pub count: u64,
    /// The first collisions.
    pub named: Vec<NameCollision>,
}

/// The hash of a name. Each poll hashes the name of every family, once.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);
/// The sorted hashes of the names of canonical metrics in Prometheus, including those of the lines of histograms.
static CANONICAL: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut hashes = Vec::new();
    for metric in vocabulary::ALL {
        let name = STRATEGY.name_of(metric);
        hashes.extend(series_suffixes(translated_kind(metric.kind)).iter().map(|suffix| HASHER.hash_one(format!("{name}{suffix}"))));
    }
    hashes.sort_unstable();
    hashes
});

impl NameCollisions {
    /// Finds collisions among these families, and with canonical metrics.
    pub(super) fn among<'a>(families: impl Iterator<Item = SelectedFamily<'a>> + Clone) -> Self {
        let mut buffer = String::new();
        // The hash of a name, the index of its family, and whether the family itself has the name or a line of it.
        let mut seen: Vec<(u64, u32, bool)> = Vec::new();
        let mut found = Self::default();
        // Names that cannot be translated are escaped, which makes them different from all others.
        for (index, family) in families.clone().enumerate().filter(|(_, family)| is_translatable(family.name().as_bytes())) {
            STRATEGY.write_metric_name(&family.name(), &family.unit(), family.kind(), &mut buffer);
            let base_len = buffer.len();
            for suffix in series_suffixes(family.kind()) {
                buffer.truncate(base_len);
                buffer.push_str(suffix);
                let hash = HASHER.hash_one(&buffer);
                if CANONICAL.binary_search(&hash).is_ok() {
                    found.add(&family, || format!("Postmeter's own {buffer}"), &buffer);
                    break;
                }
                seen.push((hash, index as u32, suffix.is_empty()));
            }
        }
        seen.sort_unstable();
        let equal = seen.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1);
        let mut equal = equal.peekable();
        if equal.peek().is_none() {
            return found;
        }
        let families: Vec<SelectedFamily<'_>> = families.collect();
        for chunk in equal {
            let Some(first) = families.get(chunk[0].1 as usize) else { continue };
            let mut series = HashSet::new();
            for (_, index, is_whole) in chunk {
                let Some(family) = families.get(*index as usize) else { continue };
                // A family with several scopes is contained once per scope.
                let has_other_name = first.native_name() != family.native_name();
                if has_other_name || *is_whole && has_equal_series(family, &mut series) {
                    STRATEGY.write_metric_name(&family.name(), &family.unit(), family.kind(), &mut buffer);
                    found.add(family, || first.name().into_owned(), &buffer);
                }
            }
        }
        found
    }

    /// Adds families whose labels collide.
    pub(super) fn add_labels<'a>(&mut self, families: impl Iterator<Item = SelectedFamily<'a>>) {
        for family in families {
            if let Some(labels) = label_collision(&family, COMPARED_SERIES_MAX) {
                let (name, mut translated) = (family.name(), String::new());
                STRATEGY.write_metric_name(&name, &family.unit(), family.kind(), &mut translated);
                self.push(NameCollision { family: name.to_string(), other: name.into_owned(), translated, labels: Some(labels) });
            }
        }
    }

    fn add(&mut self, family: &SelectedFamily<'_>, other: impl FnOnce() -> String, translated: &str) {
        let (family, translated) = (family.name().into_owned(), translated.to_owned());
        self.push(NameCollision { family, other: other(), translated, labels: None });
    }

    fn push(&mut self, collision: NameCollision) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(collision);
        }
    }
}

/// Adds the first series of a family to those of other scopes. Returns true if one differs from another only in its scope.
fn has_equal_series(family: &SelectedFamily<'_>, others: &mut HashSet<u64>) -> bool {
    let own: HashSet<u64> = family.samples().take(COMPARED_SERIES_MAX).map(|sample| sample.point_identity()).collect();
    let is_equal = !own.is_disjoint(others);
    others.extend(own);
    is_equal
}

/// The suffixes that the series of a metric have.
fn series_suffixes(kind: FamilyType) -> &'static [&'static str] {
    match kind {
        FamilyType::Histogram => &["", "_bucket", "_sum", "_count"],
        FamilyType::Summary => &["", "_sum", "_count"],
        _ => &[""],
    }
}

#[cfg(test)]
mod tests {
    use crate::format::prometheus;
    use crate::model::{FamilySelection, Repair, SelectedFamilies};

    #[track_caller]
    fn collides(body: &str, expected: &[(&str, &str, &str)]) {
        let families = prometheus::read(body.to_owned()).unwrap();
        let native = SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()));
        let found: Vec<_> = native.name_collisions().iter().map(|c| (c.other.as_str(), c.family.as_str(), c.translated.as_str())).collect();
        assert_eq!(found, expected, "{body}");
        assert_eq!(native.repairs.get(Repair::NameCollision), expected.len() as u64, "{body}");
    }

    #[test]
    fn families_with_the_same_translated_name_are_listed() {
        collides(
            "# TYPE requests counter\nrequests 3\n# TYPE requests_total counter\nrequests_total 4\n",
            &[("requests", "requests_total", "requests_total")],
        );
        let scoped = |second: &str| {
            format!(
                "# TYPE h histogram\nh_bucket{{otel_scope_name=\"a\",le=\"+Inf\"}} 1\nh_count{{otel_scope_name=\"a\"}} 1\n\
                     h_bucket{{otel_scope_name=\"b\",le=\"+Inf\"{second}}} 2\nh_count{{otel_scope_name=\"b\"{second}}} 2\n"
            )
        };
        collides(&scoped(""), &[("h", "h", "h")]);
        collides(&scoped(",l=\"x\""), &[]);
        collides("# TYPE requests gauge\nrequests 3\n# TYPE requests_total counter\nrequests_total 4\n", &[]);
        collides("a__b 1\na_b 2\na_b{l=\"x\"} 3\n", &[("a__b", "a_b", "a_b")]);
        let histogram = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n# TYPE a_count gauge\na_count 5\n";
        collides(histogram, &[("a", "a_count", "a_count")]);
        collides("# TYPE a_count gauge\na_count{l=\"x\"} 5\n# TYPE a summary\na_sum 1\na_count 1\n", &[("a", "a_count", "a_count")]);
        collides("# TYPE mail_up gauge\nmail_up 1\nmail_ups 1\n", &[("Postmeter's own mail_up", "mail_up", "mail_up")]);
        collides(
            "# TYPE postmeter_poll_errors counter\npostmeter_poll_errors 1\n",
            &[("Postmeter's own postmeter_poll_errors_total", "postmeter_poll_errors", "postmeter_poll_errors_total")],
        );
        collides("{a,\"l.m\"=\"1\",l_m=\"2\"} 1\n{b,\"l.m\"=\"1\"} 1\n{b,l_m=\"2\"} 1\nc{l_m=\"3\"} 1\n", &[("a", "a", "a")]);
        collides("{b,\"l.m\"=\"1\",z=\"\"} 1\n{b,z=\"\",l_m=\"1\"} 2\n", &[("b", "b", "b")]);
        collides("{b,\"l.m\"=\"1\"} 1\n{b,\"l.m\"=\"2\"} 2\n{b,l_m=\"3\"} 3\n", &[]);
        collides("c{otel_scope_name=\"x\"} 1\nc{otel_scope_name=\"y\"} 1\nd 1\n", &[("c", "c", "c")]);
        collides("c{otel_scope_name=\"x\",l=\"1\"} 1\nc{otel_scope_name=\"y\",l=\"2\"} 1\nd 1\n", &[]);
    }
}
