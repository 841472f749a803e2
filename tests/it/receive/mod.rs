//! Delivery records that mail systems send: real requests in, log records and metrics out.

mod acknowledgement;
mod authentication;
mod detail;
mod kills;
mod kumomta_hook;
mod pressure;
mod world;
