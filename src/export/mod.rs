//! The exports: pushed as OTLP through the export queue, and pulled as an exposition.

pub mod exposition;
pub mod otlp;
pub(crate) mod queue;
mod wire;

pub use crate::report::SeriesState;
