//! Postmeter polls mail servers' metrics APIs and reports them as OpenTelemetry: pushed by OTLP, pulled by Prometheus.
//!
//! The modules are the flow of the data. [`poll`] asks a mail server, [`source`] reads the answer (in a [`mod@format`]) into the
//! words of [`model`]; [`bridge`] puts those into the instruments of a pipeline of [`telemetry`]; [`messages`] follows delivery logs; [`export`]
//! pushes and writes it all, [`serve`] lets them be pulled. [`config`] is the file, [`app`] the commands, [`simulate`] the other side; [`net`]
//! is what several of them need of the network.
pub mod app;
pub mod config;
pub mod delivery_log;
pub mod export;
pub mod format;
pub mod model;
pub mod net;
pub mod poll;
pub(crate) mod report;
pub mod serve;
pub mod simulate;
pub mod source;
pub mod telemetry;
