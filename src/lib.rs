//! Postmeter polls mail servers' metrics APIs and reports them as OpenTelemetry: pushed by OTLP, pulled by Prometheus.
//!
//! The modules are the flow of the data: [`poll`] asks a mail server, [`source`] reads the answer into the words of
//! [`model`].
pub mod config;
pub mod format;
pub mod model;
pub mod simulate;
pub mod source;
