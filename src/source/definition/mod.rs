//! Definitions of mail systems: YAML files that are read to a [`Source`](crate::source::Source).
//!
//! Built-in systems are files in `systems/`, which the binary contains; users' files are read by the same loader. A definition is kept
//! until the process ends. Files with the same content are the same definition, and the number of definitions is limited, so that a
//! reload does not use more and more memory.
//!
//! The problems of all keys of a file are reported at once, each with its line and column; when each key is valid, what does not fit
//! together is.

mod attribute;
mod canonical;
mod combination;
mod consistency;
mod credential;
mod diagnosis;
mod example;
mod hook;
mod limits;
mod load;
mod memory;
mod part;
mod pattern;
mod request;
mod rule;
pub mod schema;
mod series;
mod service_state;
mod system;
mod unit;
mod window;

pub(crate) use canonical::metrics;
pub use example::run_examples;
pub use load::{DEFINITIONS_MAX, load, text_of};
pub(super) use request::JSON;

#[cfg(test)]
mod tests;
