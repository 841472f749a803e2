//! The pull endpoint as a network meets it: each rule at the socket, bytes in and bytes out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod credential;
mod flood;
mod limit;
mod strangers;
mod tls;
mod web;
