//! The two ways out: pushed by OTLP, pulled as an exposition.

pub mod exposition;
pub mod otlp;
mod series;

pub use series::SeriesState;
