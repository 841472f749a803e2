//! Checks that the keys of a part fit together: its windows and requests, and its rules and the series that they take.
//!
//! Each key is valid already, so this runs when the definition is decoded for the second time, with its texts.

use super::{service_state, window};
use crate::model::Kind;
use crate::source::pattern::{is_match, is_pattern};
use crate::source::{AttributeSource, Part, PathSeries, Piece, Rule, Take, Transform, WindowRule};
use crate::yaml::text::suggestion;
use crate::yaml::{Decoder, Location};

/// The locations of a part, and of its requests and rules.
pub(super) struct PartLocations {
    pub part: Location,
    pub requests: Vec<Location>,
    pub rules: Vec<Location>,
}

/// Reports what does not fit. `windows`: the values are sums over windows, which are fixed if there is a rule for them.
pub(super) fn check(decoder: &mut Decoder<'_>, part: &Part, locations: &PartLocations, windows: Option<Option<WindowRule>>) {
    if let Some(problem) = service_state::problem(part.rules) {
        decoder.report(&locations.part, problem);
    }
    if let Some(rule) = windows {
        for (request, location) in part.requests.iter().zip(&locations.requests) {
            if let Some(problem) = window::naming_problem(request, rule) {
                decoder.report(location, problem);
            }
        }
    }
    let declared = Declared::of(std::slice::from_ref(part));
    for (at, (rule, location)) in part.rules.iter().zip(&locations.rules).enumerate() {
        if let Some(declared) = &declared {
            declared.check_rule(decoder, rule, location);
        }
        let mut earlier = part.rules.iter().zip(&locations.rules).take(at);
        if let Some((_, first)) = earlier.find(|(earlier, _)| counts_again(earlier, rule)) {
            let line = first.line.map_or_else(String::new, |line| format!(" in line {line}"));
            let message =
                format!("adds the same series to the same points as the rule{line}, so that they count twice; remove one of them");
            decoder.report(location, message);
        }
    }
    let of_first = part.requests.first().map(|request| request.reader.declared_series()).unwrap_or_default();
    for (request, location) in part.requests.iter().zip(&locations.requests).skip(1) {
        let series = request.reader.declared_series();
        let is_shared = |series: &PathSeries| of_first.iter().any(|other| other.family == series.family);
        // Versions of an API may have other families, which the same rule reads.
        let has_family_of = |rule: &Rule, series: &[PathSeries]| series.iter().any(|series| rule.reads(series.family));
        let is_alternative = part.rules.iter().any(|rule| has_family_of(rule, of_first) && has_family_of(rule, series));
        if !series.is_empty() && !of_first.is_empty() && !is_alternative && !series.iter().any(is_shared) {
            decoder.report(
                location,
                "has no family of the first request, and only one request of a part is sent; put it into a part of its own",
            );
        }
    }
}

/// The series of a definition whose readers all find their series by paths, so that every family and every label is in the file.
pub(super) struct Declared(Vec<&'static PathSeries>);

impl Declared {
    /// Returns the series of the parts, or `None` if a response can have others.
    pub(super) fn of(parts: &[Part]) -> Option<Self> {
        let requests = || parts.iter().flat_map(|part| part.requests);
        let series = requests().flat_map(|request| request.reader.declared_series()).collect();
        requests().all(|request| !request.reader.declared_series().is_empty()).then_some(Self(series))
    }

    /// Reports a family or a pattern that no series has, and a label that no series of the family has.
    pub(super) fn check_family(&self, decoder: &mut Decoder<'_>, location: &Location, family: &str, label: Option<&str>) {
        if !self.has(family) {
            decoder.report(location, format!("no series has the family {family}; {}", suggestion(family, &self.families())));
        } else if let Some(label) = label {
            self.check_labels(decoder, location, &[family], &[label]);
        }
    }

    fn has(&self, family: &str) -> bool {
        self.0.iter().any(|series| is_match(family, series.family))
    }

    fn families(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.0.iter().map(|series| series.family).collect();
        names.dedup();
        names
    }

    fn check_labels(&self, decoder: &mut Decoder<'_>, location: &Location, families: &[&str], labels: &[&str]) {
        let of_families = self.0.iter().filter(|series| families.iter().any(|family| is_match(family, series.family)));
        let mut known: Vec<&str> = of_families.flat_map(|series| series.labels).map(|(name, _)| *name).collect();
        known.sort_unstable();
        known.dedup();
        let mut unknown: Vec<&str> = labels.iter().copied().filter(|label| !known.contains(label)).collect();
        unknown.dedup();
        for label in unknown {
            let advice = if known.is_empty() { "it has no labels".to_owned() } else { suggestion(label, &known) };
            decoder.report(location, format!("no series of {} has the label {label}; {advice}", families.join(", ")));
        }
    }

    fn check_rule(&self, decoder: &mut Decoder<'_>, rule: &Rule, location: &Location) {
        let whole = if let Transform::OneMinusShareOf(whole) = rule.transform { Some(whole) } else { None };
        let unknown: Vec<&str> = rule.families.iter().copied().chain(whole).filter(|family| !self.has(family)).collect();
        for family in &unknown {
            self.check_family(decoder, location, family, None);
        }
        if unknown.is_empty() {
            let conditions = rule.when.iter().chain(rule.unless).map(|(name, _)| *name);
            let sources = rule.from.iter().flat_map(labels_of).chain(rule.detail.map(|(label, _)| label));
            self.check_labels(decoder, location, rule.families, &conditions.chain(sources).collect::<Vec<_>>());
        }
        let needs_histogram = rule.metric.kind == Kind::Histogram || rule.take != Take::Value;
        if needs_histogram {
            let subject = if rule.take == Take::Value { rule.metric.name } else { "take" };
            decoder.report(location, format!("{subject} needs a histogram, and each series of a JSON document is a number"));
        }
    }
}

fn labels_of(from: &AttributeSource) -> impl Iterator<Item = &'static str> {
    let of_template = from.template.iter().filter_map(|piece| match piece {
        Piece::Label(name) | Piece::Char(name, _) => Some(*name),
        Piece::Text(_) => None,
    });
    from.labels.iter().copied().chain(of_template)
}

/// Returns `true` if two rules add a series to the same point twice. Of gauges the largest value is taken, so a second one has no effect.
fn counts_again(a: &Rule, b: &Rule) -> bool {
    let same_shape = |a: &Rule| format!("{:?}", (a.take, a.transform, a.detail.map(|(label, attribute)| (label, attribute.key)), a.from));
    a.metric == b.metric
        && a.metric.kind != Kind::Gauge
        && !a.fallback
        && !b.fallback
        && (a.scale < 0.0) == (b.scale < 0.0)
        && a.families.iter().any(|family| b.families.contains(family))
        && a.with.len() == b.with.len()
        && a.with.iter().all(|fixed| b.with.contains(fixed))
        && same_shape(a) == same_shape(b)
        && a.scale != 0.0
        && b.scale != 0.0
        && (has_labels_of(a, b) || has_labels_of(b, a))
        && !excludes(a, b)
        && !excludes(b, a)
}

/// Returns `true` if a rule has conditions on all labels on which the other has some. If each has one on another label, a series need not fulfil both.
fn has_labels_of(a: &Rule, b: &Rule) -> bool {
    b.when.iter().all(|(label, _)| a.when.iter().any(|(own, _)| own == label)) && (a.unlabelled || !b.unlabelled)
}

/// Returns `true` if a label has no value with which both rules take a series, by a condition of the first rule.
fn excludes(a: &Rule, b: &Rule) -> bool {
    if b.unlabelled && a.when.iter().any(|(_, value)| !value.is_empty()) {
        return true;
    }
    let values = |pairs: &'static [(&str, &str)], label| pairs.iter().filter(move |(name, _)| *name == label).map(|(_, value)| *value);
    a.when.iter().any(|(label, _)| {
        let meets = |value: &str| {
            let mut others = values(b.when, *label).peekable();
            let is_refused = values(b.unless, *label).any(|refused| is_match(refused, value));
            !is_refused
                && (others.peek().is_none() || others.any(|other| is_match(other, value) || (is_pattern(value) && is_match(value, other))))
        };
        !values(a.when, *label).any(meets)
    })
}
