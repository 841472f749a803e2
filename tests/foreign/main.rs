//! Tests that need foreign programs: Prometheus, promtool, the Collector, a browser. A test without its program is skipped with a message.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod allocator;
mod compose;
mod dashboards;
mod exposition;
mod helm;
mod page;
mod promtool;
mod stack;
