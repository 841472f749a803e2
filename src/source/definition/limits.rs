//! The limits of a definition file.

/// The largest size of a file.
pub const DEFINITION_BYTES_MAX: usize = 512 * 1024;
/// The largest number of parts.
pub const PARTS_MAX: usize = 50;
/// The largest number of requests of a part, of which one is sent.
pub const REQUESTS_MAX: usize = 10;
/// The largest number of statuses of a request.
pub const STATUSES_MAX: usize = 10;
/// The statuses that can be those of a response.
pub const STATUSES: std::ops::RangeInclusive<usize> = 500..=599;
/// The largest number of rules of a part.
pub const RULES_MAX: usize = 2000;
/// The largest number of families of a list, of values of a label, and of rows of a table.
pub const VALUES_MAX: usize = 500;
/// The largest number of families of series that a request reads by paths.
pub const PATH_SERIES_MAX: usize = 200;
/// The largest number of examples.
pub const EXAMPLES_MAX: usize = 100;
/// The largest number of diagnoses.
pub const DIAGNOSES_MAX: usize = 100;
/// The largest number of notes.
pub const NOTES_MAX: usize = 100;
/// The largest length of a pattern, a template and a path of a JSON document.
pub const PATTERN_BYTES_MAX: usize = 500;
/// The largest number of `*` in a pattern: each one multiplies the work to match it.
pub const PATTERN_WILDCARDS_MAX: usize = 4;
