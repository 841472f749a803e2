//! Delivery records that mail systems send: real requests in, log records and metrics out.

mod acknowledgement;
mod authentication;
mod detail;
mod kumomta_hook;
mod last_counts;
mod limits;
mod log_files;
mod postfix_log;
mod pressure;
mod responses;
mod segment_writer;
mod sender_faults;
mod senders;
mod soak;
mod stored;
mod strangers;
mod wire;
mod world;

pub use world::record;
