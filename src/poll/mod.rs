//! Asking one mail server: HTTP, credentials, limits, deadline, single flight, and an outcome that is always said.
//!
//! # A collection is what polls
//!
//! There is no timer here. Whoever collects (a push, a scrape) asks a [`Target`] for a reading no older than its
//! `min_interval`, and callers at the same time share one poll. So two Prometheus replicas and a push stay within a mail
//! server's rate limit, and nothing is polled that nobody collects.
//!
//! One exception makes polls early: a target that is slow is polled before the scrape that is expected next, so that the reading is there
//! when the scrape comes ([`refresh`]). It stops when scrapes do not come.
//!
//! # No target waits for another
//!
//! A poll is admitted before its deadline starts ([`admission`]), targets that fail have slots and memory of their own, and a collection
//! waits for a target that is known to fail for a moment only ([`target`]). So a fleet that is mostly dark costs the rest nothing.
//!
//! # Missing beats wrong
//!
//! A failed poll is a [`Reading`] without a snapshot: `mail.up` 0 and what is known about the poll. No value of an earlier
//! one is kept alive.

mod admission;
mod beside;
mod body_memory;
mod budget;
mod callers;
mod circuit;
mod client;
mod counted_windows;
mod deadline;
mod error;
mod fault;
mod figure;
mod history;
mod limits;
mod open_files;
mod part;
mod parts;
mod published;
mod reading;
mod records;
mod refresh;
mod relayed;
mod scrape_schedule;
mod seldom;
mod target;
mod window;

pub use admission::LaneUsage;
pub use circuit::Circuit;
pub(crate) use client::{retry_after, secret_header, use_ring};
pub use error::PollError;
pub use figure::{FIGURES_MAX, Figure};
pub use history::{CoursePoint, Failure, HISTORY_POINTS_MAX, HISTORY_SECONDS, History, SLOT_SECONDS};
pub use limits::{Limits, READINGS_BYTES_MAX, Usage};
pub use open_files::raise_open_files_limit;
pub use reading::{PartReport, Reading, Tally};
pub use records::RecordReader;
pub use relayed::relayed;
pub use scrape_schedule::ScraperId;
pub use target::{Clock, StartError, Target};
