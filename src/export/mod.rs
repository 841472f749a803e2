//! The two ways out: pushed by OTLP, pulled as an exposition.

pub mod exposition;
pub mod otlp;
pub(crate) mod queue;

pub use crate::report::SeriesState;
