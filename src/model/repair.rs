//! What a reading had to mend or leave out: a closed set, each counted in `mail.poll.repairs{mail.repair.kind}`.

/// A way in which a server's answer was not what its format demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Repair {
    /// A line or a series that could not be read, left out.
    Unreadable,
    /// A quote or backslash in a label or a help text that the server did not escape; read as meant.
    Unescaped,
    /// Bytes that are not UTF-8, each read as `?`.
    InvalidUtf8,
    /// A label value or a help text over the limit, cut.
    LabelTooLong,
    /// NaN or infinity where a number of things belongs, left out.
    NonFinite,
    /// An unsigned gauge that went below zero and came out as a number up to 2^64, left out.
    Underflow,
    /// A number below zero of what has none, or a counter too large to be counted exactly, left out.
    OutOfRange,
    /// The same series twice in one answer; the first is kept.
    DuplicateSeries,
    /// Histogram buckets that were not cumulative, added up.
    NotCumulative,
    /// A histogram whose buckets contradict its count, left out.
    InconsistentHistogram,
    /// A counter that was typed as a gauge, read as a counter.
    MistypedCounter,
    /// A sum that fell where it cannot (an account was deleted inside a window), held at its last value.
    Held,
    /// An answer whose counters stand under each other's names, left out.
    Misnamed,
    /// A family or series that stands more than once in a response of a server that writes each once and escapes nothing, or text in
    /// a label that would be one: which copy is genuine is not known, so none is kept.
    Forged,
    /// Several `target_info` with different labels, of which none is taken.
    AmbiguousTargetInfo,
    /// A family whose name a Prometheus OTLP receiver makes that of another metric; it is exported all the same.
    NameCollision,
    /// A histogram or summary without its count, left out.
    MissingCount,
    /// A line of a type that OTLP does not have (gaugehistogram), left out.
    Unsupported,
    /// An exemplar that is too long, on the sum or count of a distribution, or beyond the limit, left out.
    ExemplarDropped,
}

impl Repair {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Unreadable,
        Self::Unescaped,
        Self::InvalidUtf8,
        Self::LabelTooLong,
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
    ];

    /// Whether a series may be missing for it that the server still counts: where it stands in the next answer again, it is not new.
    #[must_use]
    pub const fn leaves_out(self) -> bool {
        match self {
            Self::Unreadable | Self::NonFinite | Self::OutOfRange | Self::InconsistentHistogram => true,
            Self::MissingCount | Self::Misnamed | Self::Forged => true,
            // Of a gauge, which has no beginning.
            Self::Underflow => false,
            // The series is there.
            Self::Unescaped | Self::InvalidUtf8 | Self::LabelTooLong | Self::DuplicateSeries | Self::NotCumulative => false,
            Self::MistypedCounter | Self::Held | Self::AmbiguousTargetInfo | Self::NameCollision => false,
            Self::Unsupported | Self::ExemplarDropped => false,
        }
    }

    /// The value of `mail.repair.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Unescaped => "unescaped",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::LabelTooLong => "label_too_long",
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
        }
    }
}

/// How often each repair was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs([u64; Repair::ALL.len()]);

impl Repairs {
    /// Counts one.
    pub fn count(&mut self, repair: Repair) {
        self.add(repair, 1);
    }

    /// Counts `n`.
    pub fn add(&mut self, repair: Repair, n: u64) {
        self.0[repair as usize] += n;
    }

    /// Counts everything in `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (repair, n) in other.iter() {
            self.add(repair, n);
        }
    }

    /// How often this one was made.
    #[must_use]
    pub fn get(&self, repair: Repair) -> u64 {
        self.0[repair as usize]
    }

    /// All kinds that were made at least once.
    pub fn iter(&self) -> impl Iterator<Item = (Repair, u64)> + '_ {
        Repair::ALL.into_iter().map(|r| (r, self.get(r))).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repair_is_in_the_list_at_its_own_place() {
        for (i, repair) in Repair::ALL.into_iter().enumerate() {
            assert_eq!(repair as usize, i, "{}", repair.as_str());
        }
    }
}
