//! Delivery records that mail systems send: real requests in, log records and metrics out.

mod acknowledgement;
mod authentication;
mod detail;
mod kills;
mod kumomta_hook;
mod log_files;
mod postfix_log;
mod pressure;
mod segment_writer;
mod world;
