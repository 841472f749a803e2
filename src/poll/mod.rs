//! Asking one mail server: HTTP, credentials, limits, deadline, single flight, and an outcome that is always said.
//!
//! # A collection is what polls
//!
//! There is no timer here. Whoever collects (a push, a scrape) asks a [`Target`] for a reading no older than its
//! `min_interval`, and callers at the same time share one poll. So two Prometheus replicas and a push stay within a mail
//! server's rate limit, and nothing is polled that nobody collects.
//!
//! # Missing beats wrong
//!
//! A failed poll is a [`Reading`] without a snapshot: `mail.up` 0 and what is known about the poll. No value of an earlier
//! one is kept alive.

mod beside;
mod budget;
mod callers;
mod circuit;
mod client;
mod counted_windows;
mod error;
mod fault;
mod figure;
mod history;
mod limits;
mod part;
mod parts;
mod published;
mod reading;
mod records;
mod relayed;
mod seldom;
mod target;
mod window;

pub use circuit::Circuit;
pub(crate) use client::{retry_after, secret_header, use_ring};
pub use error::PollError;
pub use figure::{FIGURES_MAX, Figure};
pub use history::{CoursePoint, Failure, HISTORY_POINTS_MAX, HISTORY_SECONDS, History, SLOT_SECONDS};
pub use limits::Limits;
pub use reading::{PartReport, Reading, Tally};
pub use records::RecordReader;
pub use relayed::relayed;
pub use target::{Clock, StartError, Target};
