//! Polling at its border: real sockets, real HTTP and TLS.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

mod answer;
mod circuit;
mod connection;
mod credential;
mod dark;
mod fleet;
mod flight;
mod memory;
mod part;
mod process;
mod tls;
mod window;
