//! The access rules of the pull endpoint, tested with raw bytes over sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod authority;
mod common;
mod credential;
mod disconnected;
mod flood;
mod host;
mod http2;
mod limit;
mod listeners;
mod tls;
mod unauthenticated;
mod web;
