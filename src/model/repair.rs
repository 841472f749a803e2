//! Repairs of invalid responses: a closed set of kinds, each counted in `postmeter.poll.repairs{postmeter.repair.kind}`.

/// A kind of invalid input, and how it is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Repair {
    /// A line or series that cannot be read; dropped.
    Unreadable,
    /// An unescaped quote or backslash in a label or help text; read as intended.
    Unescaped,
    /// Bytes that are not UTF-8; each is replaced by `?`.
    InvalidUtf8,
    /// A label value or help text over the limit; cut.
    LabelTooLong,
    /// A series with more labels than the limit, or with a label name beyond the number of names of a response; dropped.
    TooManyLabels,
    /// A histogram with more buckets than the limit, which is dropped, or a summary with more quantiles, of which the first are kept.
    TooManyBuckets,
    /// A canonical point beyond the number of points of a metric; omitted.
    TooManyPoints,
    /// NaN or infinity as the value of a count; dropped.
    NonFinite,
    /// An unsigned gauge that fell below zero and became a number up to 2^64; dropped.
    Underflow,
    /// A negative count, a summary whose count is not a whole number, or a counter that is too large to be exact; dropped.
    OutOfRange,
    /// A duplicate series in one response; the first is kept.
    DuplicateSeries,
    /// Histogram buckets that are not cumulative; added up.
    NotCumulative,
    /// A histogram whose buckets contradict its count, or whose counts are not whole numbers; dropped.
    InconsistentHistogram,
    /// A counter with the type gauge; read as a counter.
    MistypedCounter,
    /// A sum that decreased because an account was deleted; kept at its last value.
    Held,
    /// A response whose counters have each other's names; dropped.
    Misnamed,
    /// A repeated family or series in the response of a server that writes each once and does not escape labels, or a label value that looks
    /// like one. The genuine copy is unknown; all are dropped.
    Forged,
    /// Several `target_info` series with different labels; none is used.
    AmbiguousTargetInfo,
    /// A family, or two of its labels, that a Prometheus OTLP receiver renames to the same name as another; exported unchanged.
    NameCollision,
    /// A histogram or summary without a count; dropped.
    MissingCount,
    /// A line of a type that OTLP does not have (gaugehistogram); dropped.
    Unsupported,
    /// An exemplar that is too long, on the sum or count of a distribution, or over the limit; dropped.
    ExemplarDropped,
    /// A point that lacks a native series or a part of the readings before, or a counter that lacks a part which has not responded yet; omitted.
    IncompleteSum,
    /// NaN or infinity as the sum of a histogram; the canonical histogram has no sum.
    NonFiniteSum,
    /// A name without ASCII letters and digits, which Prometheus' OTLP receiver cannot translate; escaped in OTLP.
    UntranslatableName,
}

impl Repair {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 25] = [
        Self::Unreadable,
        Self::Unescaped,
        Self::InvalidUtf8,
        Self::LabelTooLong,
        Self::TooManyLabels,
        Self::TooManyBuckets,
        Self::TooManyPoints,
        Self::NonFinite,
        Self::Underflow,
        Self::OutOfRange,
        Self::DuplicateSeries,
        Self::NotCumulative,
        Self::InconsistentHistogram,
        Self::MistypedCounter,
        Self::Held,
        Self::Misnamed,
        Self::Forged,
        Self::AmbiguousTargetInfo,
        Self::NameCollision,
        Self::MissingCount,
        Self::Unsupported,
        Self::ExemplarDropped,
        Self::IncompleteSum,
        Self::NonFiniteSum,
        Self::UntranslatableName,
    ];

    /// Returns true if a series may be missing that the server still counts, so that it is not new when a later response contains it.
    #[must_use]
    pub const fn hides_series(self) -> bool {
        match self {
            Self::Unreadable | Self::NonFinite | Self::OutOfRange | Self::InconsistentHistogram => true,
            Self::MissingCount | Self::Misnamed | Self::Forged => true,
            Self::TooManyLabels | Self::TooManyBuckets => true,
            // Concerns gauges, which have no start time.
            Self::Underflow => false,
            // The series is kept.
            Self::Unescaped | Self::InvalidUtf8 | Self::LabelTooLong | Self::DuplicateSeries | Self::NotCumulative => false,
            Self::MistypedCounter | Self::Held | Self::AmbiguousTargetInfo | Self::NameCollision => false,
            Self::Unsupported | Self::ExemplarDropped | Self::NonFiniteSum | Self::UntranslatableName => false,
            // Concerns canonical points only (`Reading::has_all_sums`, `Snapshot::unknown_metrics`).
            Self::IncompleteSum | Self::TooManyPoints => false,
        }
    }

    /// The value of `postmeter.repair.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Unescaped => "unescaped",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::LabelTooLong => "label_too_long",
            Self::TooManyLabels => "too_many_labels",
            Self::TooManyBuckets => "too_many_buckets",
            Self::TooManyPoints => "too_many_points",
            Self::NonFinite => "non_finite",
            Self::Underflow => "underflow",
            Self::OutOfRange => "out_of_range",
            Self::DuplicateSeries => "duplicate_series",
            Self::NotCumulative => "not_cumulative",
            Self::InconsistentHistogram => "inconsistent_histogram",
            Self::MistypedCounter => "mistyped_counter",
            Self::Held => "held",
            Self::Misnamed => "misnamed",
            Self::Forged => "forged",
            Self::AmbiguousTargetInfo => "ambiguous_target_info",
            Self::NameCollision => "name_collision",
            Self::MissingCount => "missing_count",
            Self::Unsupported => "unsupported",
            Self::ExemplarDropped => "exemplar_dropped",
            Self::IncompleteSum => "incomplete_sum",
            Self::NonFiniteSum => "non_finite_sum",
            Self::UntranslatableName => "untranslatable_name",
        }
    }

    /// A description of the invalid input and of what happens to it, as one phrase.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Unreadable => "a line or series that cannot be read; dropped",
            Self::Unescaped => "an unescaped quote or backslash in a label or help text; read as intended",
            Self::InvalidUtf8 => "bytes that are not UTF-8; each is replaced by ?",
            Self::LabelTooLong => "a label value or help text over the limit; cut",
            Self::TooManyLabels => {
                "a series with more than 64 labels, or with a new label name after 60,000 others (docs/limits.md); dropped"
            }
            Self::TooManyBuckets => {
                "a histogram with more than 1,000 buckets, dropped, or a summary with more than 1,000 quantiles, cut (docs/limits.md)"
            }
            Self::TooManyPoints => "a canonical point beyond 1,000 of its metric (docs/limits.md); omitted",
            Self::NonFinite => "NaN or infinity as the value of a count; dropped",
            Self::Underflow => "an unsigned gauge that fell below zero and became a number up to 2^64; dropped",
            Self::OutOfRange => {
                "a negative count, a summary whose count is not a whole number, or a counter that is too large to be exact; dropped"
            }
            Self::DuplicateSeries => "a duplicate series in one response; the first is kept",
            Self::NotCumulative => "histogram buckets that are not cumulative; added up",
            Self::InconsistentHistogram => "a histogram whose buckets contradict its count, or whose counts are not whole numbers; dropped",
            Self::MistypedCounter => "a counter with the type gauge; read as a counter",
            Self::Held => "a sum that decreased because an account was deleted; kept at its last value",
            Self::Misnamed => "a response whose counters have each other's names; dropped",
            Self::Forged => {
                "a repeated family or series of a server that does not escape labels, of which the genuine copy is unknown; dropped"
            }
            Self::AmbiguousTargetInfo => "several target_info series with different labels; none is used",
            Self::NameCollision => {
                "a family that a Prometheus OTLP receiver renames to the name of another metric, or whose labels get the same name; exported unchanged"
            }
            Self::MissingCount => "a histogram or summary without a count; dropped",
            Self::Unsupported => "a line of a type that OTLP does not have (gaugehistogram); dropped",
            Self::ExemplarDropped => "an exemplar that is too long, on the sum or count of a distribution, or over the limit; dropped",
            Self::IncompleteSum => {
                "a point that lacks a series of an earlier response, or a part; omitted until it is complete, the server restarts, or an hour has passed"
            }
            Self::NonFiniteSum => "NaN or infinity as the sum of a histogram; the canonical histogram has no sum",
            Self::UntranslatableName => {
                "a name without ASCII letters and digits, for which Prometheus rejects all of a push; escaped in OTLP"
            }
        }
    }
}

/// The number of repairs of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs([u64; Repair::ALL.len()]);

impl Repairs {
    /// Counts one repair.
    pub fn count(&mut self, repair: Repair) {
        self.add(repair, 1);
    }

    /// Counts `n` repairs.
    pub fn add(&mut self, repair: Repair, n: u64) {
        self.0[repair as usize] += n;
    }

    /// Adds the counts of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (repair, n) in other.iter() {
            self.add(repair, n);
        }
    }

    /// The number of repairs of this kind.
    #[must_use]
    pub fn get(&self, repair: Repair) -> u64 {
        self.0[repair as usize]
    }

    /// Returns true if a series may be missing that the server still counts.
    #[must_use]
    pub fn hide_series(&self) -> bool {
        self.iter().any(|(repair, _)| repair.hides_series())
    }

    /// All kinds with at least one repair, and their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Repair, u64)> + '_ {
        Repair::ALL.into_iter().map(|r| (r, self.get(r))).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_are_in_the_order_of_their_numbers() {
        for (i, repair) in Repair::ALL.into_iter().enumerate() {
            assert_eq!(repair as usize, i, "{}", repair.as_str());
        }
    }
}
