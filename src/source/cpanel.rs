//! Stub.
use super::Source;
/// See the module.
pub static SOURCE: Source = Source { name: "cpanel", ..super::ceymail::SOURCE };
