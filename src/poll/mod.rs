//! Asking one mail server: HTTP, credentials, limits, deadline, single flight, and an outcome that is always said.
//!
//! # A collection is what polls
//!
//! There is no timer here. Whoever collects (a push, a scrape) asks a [`Target`] for a reading no older than its
//! `min_interval`, and callers at the same time share one poll. So two Prometheus replicas and a push stay within a mail
//! server's rate limit, and nothing is polled that nobody collects.
//!
//! One exception makes polls early: a target that is slow is polled before the scrape that is expected next, so that the reading is there
//! when the scrape comes (`refresh`). It stops when scrapes do not come.
//!
//! # No target waits for another
//!
//! A poll is admitted before its deadline starts (`admission`), targets that fail have slots and memory of their own, and a collection
//! waits for a target that is known to fail for a moment only (`target`). So a fleet that is mostly dark costs the rest nothing.
//!
//! # Missing beats wrong
//!
//! A failed poll is a [`Reading`] without a snapshot: `mail.up` 0 and what is known about the poll. No value of an earlier
//! one is kept alive.

mod admission;
mod body_memory;
mod circuit_breaker;
mod counted_windows;
mod cpu;
mod deadline;
mod error;
mod http_client;
mod http_error;
mod open_files;
mod part_client;
mod part_requests;
mod passthrough;
mod poll_limits;
mod rate_budget;
mod reading;
pub(crate) mod recent;
mod record_reader;
mod refresh;
mod scrape_schedule;
mod seldom_parts;
mod state;
mod target;
mod waiters;
mod window;

pub use admission::LaneUsage;
pub use circuit_breaker::Circuit;
pub use error::PollError;
pub use open_files::raise_open_files_limit;
pub use passthrough::relayed;
pub use poll_limits::{Limits, READINGS_BYTES_MAX, Usage};
pub use reading::{PartReport, Reading, Tally};
pub use recent::history::{Failure, HISTORY_POINTS_MAX, HISTORY_SECONDS, History, HistoryPoint, SLOT_SECONDS};
pub use recent::key_figures::{FIGURES_MAX, KeyFigure};
pub use record_reader::RecordReader;
pub use scrape_schedule::ScraperId;
pub use target::{Clock, StartError, Target};
