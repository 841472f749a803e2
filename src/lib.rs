//! Postmeter polls the metrics APIs of mail servers and exports the result as OpenTelemetry: pushed over OTLP, and scraped by Prometheus.
//!
//! The modules follow the data:
//!
//! 1. [`poll`] requests a mail server's metrics; [`source`] parses the response (in a [`mod@format`]) and maps it to the canonical metrics of
//!    [`model`].
//! 2. [`telemetry`] passes the canonical metrics through the instruments of the target's `MeterProvider`; [`report`] adds start times and the
//!    ends of series.
//! 3. [`delivery_log`] follows delivery logs, and [`receive`] accepts delivery records that mail systems send.
//! 4. [`export`] pushes the result over OTLP and writes it as exposition formats, which [`serve`] serves.
//!
//! [`config`] reads the configuration file, [`app`] contains the commands, [`net`] handles text and files from outside, and [`simulate`]
//! simulates mail servers and an OTLP receiver.
pub mod app;
pub mod config;
pub mod delivery_log;
pub mod export;
pub mod format;
pub mod model;
pub mod net;
pub mod poll;
pub mod receive;
pub mod report;
pub mod serve;
pub mod simulate;
pub mod source;
pub mod telemetry;
mod yaml;
