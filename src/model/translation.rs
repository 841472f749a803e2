//! The name that a Prometheus OTLP receiver gives a metric, and native families that are one metric under it.
//!
//! The receiver parts names at every character that Prometheus' names did not have, joins the words by one underscore, and appends the unit
//! and `total` unless they are there. So `requests` and `requests_total`, or `a.b` and `a_b`, become one metric, whose series may be one
//! series. Nothing is left out for that, as other receivers keep the names; it is counted and logged.

use super::unit::unit_words;
use super::{FamilyType, Kind, SelectedFamily, vocabulary};
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Collisions that are named; all are counted.
const NAMED_MAX: usize = 16;

/// Two metrics that a Prometheus OTLP receiver gives one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameCollision {
    /// The native family.
    pub family: String,
    /// The other native family, or the canonical metric.
    pub other: String,
    /// The name of both in Prometheus.
    pub translated: String,
}

impl fmt::Display for NameCollision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, other, translated } = self;
        write!(f, "{other} and {family} are both {translated} in Prometheus after OTLP, where their series may become one; ")?;
        write!(f, "leave one out with relay.exclude, or rename this target's with relay.prefix")
    }
}

/// Collisions of one reading.
#[derive(Debug, Default)]
pub(super) struct NameCollisions {
    /// How many families have a name that another metric has.
    pub count: u64,
    /// The first of them.
    pub named: Vec<NameCollision>,
}

/// The names of canonical metrics in Prometheus, with those of the lines of a histogram.
static CANONICAL: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut names = HashSet::new();
    for metric in vocabulary::ALL {
        let kind = match metric.kind {
            Kind::Counter => FamilyType::Counter,
            Kind::Gauge => FamilyType::Gauge,
            Kind::UpDownCounter => FamilyType::Unknown,
            Kind::Histogram => FamilyType::Histogram,
        };
        let mut name = String::new();
        translate(metric.name, metric.unit, kind, &mut name);
        names.extend(lines(kind).iter().map(|line| format!("{name}{line}")));
    }
    names
});

impl NameCollisions {
    /// The collisions among these families, and with canonical metrics.
    pub(super) fn among<'a>(families: impl Iterator<Item = SelectedFamily<'a>> + Clone) -> Self {
        let hasher = RandomState::default();
        let mut buffer = String::new();
        let mut seen: Vec<(u64, u32)> = Vec::new();
        let mut found = Self::default();
        for (at, family) in families.clone().enumerate() {
            translate(&family.name(), &family.unit(), family.kind(), &mut buffer);
            let base = buffer.len();
            for line in lines(family.kind()) {
                buffer.truncate(base);
                buffer.push_str(line);
                if CANONICAL.contains(&buffer) {
                    found.add(&family, || format!("Postmeter's own {buffer}"), &buffer);
                    break;
                }
                seen.push((hasher.hash_one(&buffer), at as u32));
            }
        }
        seen.sort_unstable();
        let equal = seen.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1);
        // A family whose scopes are several stands several times.
        let pairs: Vec<(u32, u32)> = equal.flat_map(|chunk| chunk[1..].iter().map(|(_, at)| (chunk[0].1, *at))).collect();
        if pairs.is_empty() {
            return found;
        }
        let families: Vec<SelectedFamily<'_>> = families.collect();
        for (first, second) in pairs {
            let (Some(first), Some(second)) = (families.get(first as usize), families.get(second as usize)) else { continue };
            if first.own_name() != second.own_name() {
                translate(&second.name(), &second.unit(), second.kind(), &mut buffer);
                found.add(second, || first.name().into_owned(), &buffer);
            }
        }
        found
    }

    fn add(&mut self, family: &SelectedFamily<'_>, other: impl FnOnce() -> String, translated: &str) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            let translated = translated.to_owned();
            self.named.push(NameCollision { family: family.name().into_owned(), other: other(), translated });
        }
    }
}

/// What stands behind the name of a metric in its series.
fn lines(kind: FamilyType) -> &'static [&'static str] {
    match kind {
        FamilyType::Histogram => &["", "_bucket", "_sum", "_count"],
        FamilyType::Summary => &["", "_sum", "_count"],
        _ => &[""],
    }
}

/// Writes the name of a metric in Prometheus after OTLP.
fn translate(name: &str, unit: &str, kind: FamilyType, to: &mut String) {
    to.clear();
    let counter = kind == FamilyType::Counter;
    let ratio = unit == "1" && kind == FamilyType::Gauge;
    let left_out = |word: &str| (counter && word == "total") || (ratio && word == "ratio");
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').filter(|word| !word.is_empty());
    let mut add = |word: &str| {
        if !to.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            to.push('_');
        }
        to.push_str(word);
    };
    words().filter(|word| !left_out(word)).for_each(&mut add);
    for unit in unit_words(unit) {
        if !words().any(|word| word == unit) {
            add(unit);
        }
    }
    if counter {
        add("total");
    }
    if ratio {
        add("ratio");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;
    use crate::model::{FamilySelection, Repair, SelectedFamilies};

    #[track_caller]
    fn collides(body: &str, expected: &[(&str, &str, &str)]) {
        let families = prometheus::read(body.to_owned()).unwrap();
        let native = SelectedFamilies::choose(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()));
        let found: Vec<_> = native.name_collisions().iter().map(|c| (c.other.as_str(), c.family.as_str(), c.translated.as_str())).collect();
        assert_eq!(found, expected, "{body}");
        assert_eq!(native.repairs.get(Repair::NameCollision), expected.len() as u64, "{body}");
    }

    #[test]
    fn names_are_translated_as_a_prometheus_otlp_receiver_does_it() {
        for (name, unit, kind, expected) in [
            ("requests", "", FamilyType::Counter, "requests_total"),
            ("requests_total", "", FamilyType::Counter, "requests_total"),
            ("requests_total", "", FamilyType::Gauge, "requests_total"),
            ("total_messages", "", FamilyType::Counter, "messages_total"),
            ("mail.queue..size", "", FamilyType::Unknown, "mail_queue_size"),
            ("took", "s", FamilyType::Gauge, "took_seconds"),
            ("took_seconds", "s", FamilyType::Histogram, "took_seconds"),
            ("took.seconds", "s", FamilyType::Counter, "took_seconds_total"),
            ("used", "1", FamilyType::Gauge, "used_ratio"),
            ("2xx", "", FamilyType::Gauge, "_2xx"),
            ("a:b_", "{x}", FamilyType::Gauge, "a:b"),
        ] {
            let mut name_of = String::new();
            translate(name, unit, kind, &mut name_of);
            assert_eq!(name_of, expected, "{name}");
        }
    }

    #[test]
    fn families_that_become_one_metric_are_named() {
        collides(
            "# TYPE requests counter\nrequests 3\n# TYPE requests_total counter\nrequests_total 4\n",
            &[("requests", "requests_total", "requests_total")],
        );
        collides("# TYPE requests gauge\nrequests 3\n# TYPE requests_total counter\nrequests_total 4\n", &[]);
        collides("a__b 1\na_b 2\na_b{l=\"x\"} 3\n", &[("a__b", "a_b", "a_b")]);
        let histogram = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n# TYPE a_count gauge\na_count 5\n";
        collides(histogram, &[("a", "a_count", "a_count")]);
        collides("# TYPE a_count gauge\na_count{l=\"x\"} 5\n# TYPE a summary\na_sum 1\na_count 1\n", &[("a", "a_count", "a_count")]);
        collides("# TYPE mail_up gauge\nmail_up 1\nmail_ups 1\n", &[("Postmeter's own mail_up", "mail_up", "mail_up")]);
        collides(
            "# TYPE mail_poll_errors counter\nmail_poll_errors 1\n",
            &[("Postmeter's own mail_poll_errors_total", "mail_poll_errors", "mail_poll_errors_total")],
        );
        collides("c{otel_scope_name=\"x\"} 1\nc{otel_scope_name=\"y\"} 1\nd 1\n", &[]);
    }
}
