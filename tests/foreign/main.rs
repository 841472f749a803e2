//! Tests that need other people's programs: Prometheus, promtool, the Collector, a browser. Without them they say so, and skip.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod compose;
mod dashboards;
mod helm;
mod page;
mod promtool;
mod stack;
