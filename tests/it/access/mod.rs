//! The access rules of the pull endpoint, tested with raw bytes over sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod credential;
mod flood;
mod limit;
mod tls;
mod unauthenticated;
mod web;
