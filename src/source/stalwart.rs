//! Stub.
use super::Source;
/// See the module.
pub static SOURCE: Source = Source { name: "stalwart", ..super::ceymail::SOURCE };
