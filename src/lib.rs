//! Postmeter polls mail servers' metrics APIs and exports the result as OpenTelemetry: pushed over OTLP, and scraped by Prometheus.
//!
//! The modules follow the data. [`poll`] requests a mail server's metrics, [`source`] parses the response (in a [`mod@format`]) and maps it
//! to the vocabulary of [`model`]; [`telemetry`] puts that into the instruments of the target's `MeterProvider`, [`report`] adds start times
//! and ends; [`delivery_log`] follows delivery logs; [`export`] pushes and writes all of it, [`serve`] exposes it. [`config`] is the
//! configuration file, [`app`] the commands, [`net`] handles text and files from outside, [`simulate`] simulates the other side.
pub mod app;
pub mod config;
pub mod delivery_log;
pub mod export;
pub mod format;
pub mod model;
pub mod net;
pub mod poll;
pub mod report;
pub mod serve;
pub mod simulate;
pub mod source;
pub mod telemetry;
