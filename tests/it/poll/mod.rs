//! Polling over real sockets, with real HTTP and TLS.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

mod advice;
mod changed_zone;
mod circuit;
mod connection;
mod credential;
mod dark;
mod definition;
mod fleet;
mod memory;
mod negotiation;
mod part;
mod process;
mod response;
mod shared_poll;
mod stale_connections;
mod start_times;
mod ticket;
mod tls;
mod totals;
mod whole_windows;
mod window;
