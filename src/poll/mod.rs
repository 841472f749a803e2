//! Polling one mail server: HTTP, credentials, limits, deadlines, shared polls. Every poll results in a reading.
//!
//! # A collection triggers the poll
//!
//! There is no timer here. A collection (a push or a scrape) requests a reading no older than the target's `min_interval` from a
//! [`Target`], and concurrent callers share one poll. So two Prometheus replicas and a push stay within a mail server's rate limit, and
//! nothing is polled without need.
//!
//! There is one exception: a slow target is polled before the scrape that is expected next, so that the reading is ready when the scrape
//! comes (`refresh`). This stops when scrapes stop.
//!
//! # No target waits for another
//!
//! A poll is admitted before its deadline starts (`admission`), failing targets have a concurrency limit and memory of their own, and a
//! collection waits only briefly for a target that is known to fail (`target`). So failing targets do not slow down the others, however
//! many they are.
//!
//! # Missing beats wrong
//!
//! A failed poll is a [`Reading`] without a snapshot: `mail.up` 0 and facts about the poll. Values of an earlier poll are not repeated.

mod admission;
mod body_buffer;
mod body_memory;
mod circuit_breaker;
mod client_builder;
mod continuity;
mod counted_windows;
mod cpu;
mod deadline;
mod delivery_secrets;
mod error;
mod http_client;
mod http_error;
mod infrequent_parts;
mod open_files;
mod part_client;
mod part_credentials;
mod part_requests;
mod passthrough;
mod poll_cycle;
mod poll_limits;
mod poll_now;
mod rate_budget;
mod raw_response;
mod reading;
pub(crate) mod recent;
mod record_arrival;
mod record_reader;
mod refresh;
mod response;
mod scrape_schedule;
mod state;
mod target;
mod target_credentials;
mod target_list;
mod target_log;
mod target_status;
mod tickets;
mod totals_file;
mod waiters;
mod window;

pub use admission::LaneUsage;
pub use circuit_breaker::Circuit;
pub use continuity::Continuity;
pub use error::PollError;
pub use open_files::raise_open_files_limit;
pub use passthrough::select_native;
pub use poll_limits::{LimitUsage, Limits, READINGS_BYTES_MAX};
pub use poll_now::PollRefusal;
pub use raw_response::{RAW_BYTES_MAX, RawError, RawResponse};
pub use reading::{PartReport, Reading, Tally};
pub use recent::history::{Failure, HISTORY_POINTS_MAX, HISTORY_SECONDS, History, HistoryPoint, SLOT_SECONDS};
pub use recent::key_figures::{DEFERRED_TITLE, DELIVERED_TITLE, FAILED_TITLE, FIGURES_MAX, KeyFigure, QUEUE_TITLE};
pub use record_arrival::RecordArrival;
pub use record_reader::RecordReader;
pub use scrape_schedule::ScraperId;
pub use target::{ClientError, Clock, Target};
pub(crate) use target_list::request_target_list;
