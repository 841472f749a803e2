//! Mail systems. Each is a definition in a file: its requests, and rules that map its native series. A pure function reads a response body
//! to metric families; everything else exists once, outside this module.
//!
//! # Adding a mail system
//!
//! 1. Copy `systems/ceymail.yaml`, the shortest one, to `systems/NAME.yaml` and adapt it.
//! 2. Add its name to the list in `systems/mod.rs`.
//! 3. Save responses of a real server, without secrets and addresses, in `tests/fixtures/NAME`.
//! 4. Add a section with an example to `docs/mail-systems.md`, a simulated server to `simulate`, and a check to `fuzz`.
//!
//! The tests name whatever is missing.
//!
//! # Parts
//!
//! A target is polled in parts, each of which can fail on its own. The first part is required: without it the poll fails. If an
//! optional part fails, only its points are missing. Rules belong to a part, because a missing series can mean 0 only if the part that
//! would report it has been read.

mod body;
mod credential;
pub mod definition;
mod delivery_log;
mod diagnosis;
mod example;
pub mod hook;
mod map;
mod part;
pub(crate) mod pattern;
mod reader;
mod rule;
mod system;
mod system_list;
pub(crate) mod systems;
mod ticket;
mod window_rule;

pub use body::ResponseBody;
pub use credential::Credential;
pub use definition::{load, run_examples};
pub use delivery_log::DeliveryLogApi;
pub use diagnosis::{Condition, Diagnosis};
pub use example::Example;
pub use hook::{Hook, HookCredential, HookPage, HookRecord, LogFileFormat, SignatureError, SignatureScheme, VerificationKey};
pub use map::{
    ADVICE_BYTES_MAX, ADVICE_MAX, AbsentFamily, Context, CounterMemory, Detail, Omission, POINTS_PER_METRIC_MAX, SkippedRule,
    TRACED_SERIES_MAX, Totals, Trace, TracedEntry, TracedFamily, TracedRule, TracedSeries, TracedValue, WINDOWS_KEPT_MAX, map_to_canonical,
};
pub use part::{Part, Request, TARGET_URL};
pub use reader::Reader;
pub use rule::{AttributeSource, Piece, Rule, Take, Transform};
pub use system::Source;
pub use system_list::SystemList;
pub use systems::{BUILT_IN_NAMES, GENERIC, SOURCES, built_in_problems, by_name};
pub use ticket::Ticket;
pub use window_rule::{
    Placeholders, WindowLength, WindowRule, check_placeholder_names, check_placeholders, fill_placeholders, names_dates,
};

pub use crate::format::json_paths::{Combine, Each, JsonPath, LabelSource, PathSeries, SeriesValue};
pub use crate::format::prometheus::{TextFormat, check_complete};
pub use crate::format::{ReadError, quote};

#[cfg(test)]
mod tests;
