//! Repairs of invalid responses: a closed set of kinds, each counted in `postmeter.poll.repairs{postmeter.repair.kind}`.

/// Defines [`Repair`]: of each kind its name, the value of `postmeter.repair.kind`, and a description of the invalid input and of what
/// happens to it, as one phrase.
macro_rules! repairs {
    ($($kind:ident = $name:literal: $description:literal;)*) => {
        /// A kind of invalid input, and how it is handled.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Repair {
            $(#[doc = $description] $kind,)*
        }

        impl Repair {
            /// All kinds, in the order of their numbers.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The value of `postmeter.repair.kind`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// A description of the invalid input and of what happens to it, as one phrase.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$kind => $description,)*
                }
            }
        }
    };
}

repairs! {
    Unreadable = "unreadable": "a line or series that cannot be read; dropped";
    Unescaped = "unescaped": "an unescaped quote or backslash in a label or help text; read as intended";
    InvalidUtf8 = "invalid_utf8": "bytes that are not UTF-8; each is replaced by ?";
    LabelTooLong = "label_too_long": "a label value or help text over the limit; cut";
    TooManyLabels = "too_many_labels": "a series with more than 64 labels, or with a new label name after 60,000 others (docs/limits.md); dropped";
    TooManyBuckets = "too_many_buckets": "a histogram with more than 1,000 buckets, dropped, or a summary with more than 1,000 quantiles, cut (docs/limits.md)";
    TooManyPoints = "too_many_points": "a canonical point beyond 1,000 of its metric (docs/limits.md); omitted";
    NonFinite = "non_finite": "NaN or infinity as the value of a count; dropped";
    Underflow = "underflow": "an unsigned gauge that fell below zero and became a number up to 2^64; dropped";
    OutOfRange = "out_of_range": "a negative count, a summary whose count is not a whole number, a counter that is too large to be exact, or a time more than a day ahead; dropped";
    DuplicateSeries = "duplicate_series": "a duplicate series in one response; the newest is kept, or else the first";
    NotCumulative = "not_cumulative": "histogram buckets that are not cumulative; added up";
    InconsistentHistogram = "inconsistent_histogram": "a histogram whose buckets contradict its count, or whose counts are not whole numbers; dropped";
    MistypedCounter = "mistyped_counter": "a counter with the type gauge; read as a counter";
    Held = "held": "a sum that decreased because an account was deleted; kept at its last value";
    Misnamed = "misnamed": "a response whose counters have each other's names; dropped";
    Forged = "forged": "a repeated family or series of a server that does not escape labels, of which the genuine copy is unknown; dropped";
    AmbiguousTargetInfo = "ambiguous_target_info": "several target_info series with different labels; none is used";
    NameCollision = "name_collision": "a family that a Prometheus OTLP receiver renames to the name of another metric, or whose labels get the same name; exported unchanged";
    MissingCount = "missing_count": "a histogram or summary without a count; dropped";
    Unsupported = "unsupported": "a line of a type that OTLP does not have (gaugehistogram); dropped";
    ExemplarDropped = "exemplar_dropped": "an exemplar that is too long, on the sum or count of a distribution, or over the limit; dropped";
    IncompleteSum = "incomplete_sum": "a point that lacks a series of an earlier response, or a part; omitted until it is complete, the server restarts, or an hour has passed";
    NonFiniteSum = "non_finite_sum": "NaN, infinity or a negative number as the sum of a histogram; the canonical histogram has no sum";
    UntranslatableName = "untranslatable_name": "a name without ASCII letters and digits, for which Prometheus rejects all of a push; escaped in OTLP";
}

impl Repair {
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
    use crate::model::LABELS_PER_SERIES_MAX;
    use crate::source::POINTS_PER_METRIC_MAX;

    #[test]
    fn descriptions_state_the_enforced_limits() {
        for (repair, limit) in [(Repair::TooManyLabels, LABELS_PER_SERIES_MAX), (Repair::TooManyPoints, POINTS_PER_METRIC_MAX)] {
            let expected = if limit < 1000 { limit.to_string() } else { format!("{},{:03}", limit / 1000, limit % 1000) };
            assert!(repair.description().contains(&format!(" {expected} ")), "{}", repair.description());
        }
    }
}
