//! Examples in a system's definition: a response, and the points that its rules must produce.

/// A response and what must become of it.
#[derive(Debug)]
pub struct Example {
    /// The title: the situation that the example shows.
    pub title: &'static str,
    /// The part that the response belongs to.
    pub part: &'static str,
    /// The line and the column of the example in its file.
    pub position: (Option<usize>, Option<usize>),
    /// The time of the response in Unix seconds, for ages.
    pub now: u64,
    /// The response.
    pub body: &'static str,
    /// Canonical series, as `metric{attribute="value"}`, each with the value that it must have; of a histogram its count.
    pub points: &'static [(&'static str, f64)],
    /// The metrics that must have no point.
    pub absent: &'static [&'static str],
}
