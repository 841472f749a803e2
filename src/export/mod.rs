//! The exports: pushed as OTLP through the export queue, and pulled as an exposition.

pub mod exposition;
pub mod otlp;
pub(crate) mod queue;
pub(crate) mod request_body;
mod wire;

pub use crate::report::SeriesState;
