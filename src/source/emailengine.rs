//! Stub.
use super::Source;
/// See the module.
pub static SOURCE: Source = Source { name: "emailengine", ..super::ceymail::SOURCE };
