//! Diagnoses: advice to the operator that follows from native series, as data.

/// Advice that is given if a native series fulfils a condition.
#[derive(Debug)]
pub struct Diagnosis {
    /// The native families, or patterns of names. A series of any of them can fulfil the condition.
    pub families: &'static [&'static str],
    /// Labels and values that a series must have, as in the `when` of a rule.
    pub when: &'static [(&'static str, &'static str)],
    /// Families, or patterns of names. A response with a series of any of them gets no advice.
    pub without: &'static [&'static str],
    /// The condition.
    pub condition: Condition,
    /// One sentence. `{label}` is replaced by the value of a label of the series.
    pub advice: &'static str,
}

/// The condition of a diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// The value is higher than in the previous poll.
    #[default]
    Rises,
    /// The value is lower than in the previous poll, although the server has not restarted.
    Falls,
    /// The response has the series.
    Present,
    /// The value is greater than 0.
    Positive,
    /// The response has no such series of any family. The advice cannot refer to a label.
    Absent,
}
