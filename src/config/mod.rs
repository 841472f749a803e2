//! The configuration file: it is parsed and checked as a whole, and every problem is reported with its line.
//!
//! The tables in [`schema`] describe every key with its default and its limits; `docs/configuration.md` is generated from them, and
//! `otel-config/postmeter.yaml` is an annotated example.
//!
//! # The file overrides the environment
//!
//! OTEL_* variables supply keys that are absent from the file and never override it: a file that is written for this program is more
//! specific than a variable that applies to every program. Only `OTEL_SDK_DISABLED` overrides the file.
//!
//! # Unknown keys are rejected
//!
//! A misspelled `insecure_skip_verfy` or `min_intervall` would otherwise be ignored without notice.

mod access;
mod command_line;
mod credentials;
mod decode;
mod deliveries;
mod delivery_log;
mod discovery;
mod effective;
mod env_file;
mod environment;
mod excerpt;
mod export;
mod fingerprint;
mod health;
mod listeners;
mod load;
mod log_files;
mod origin;
mod otel;
mod otlp;
mod part;
mod passthrough;
mod path_patterns;
mod pem;
mod prometheus;
mod protection;
mod queue;
mod receive;
mod record_detail;
mod reload;
mod request;
pub mod schema;
mod sdk_variables;
mod secret;
mod server_tls;
mod shard;
mod systems_files;
mod target;
mod target_context;
mod targets_files;
mod targets_http;
mod telemetry;
mod template;
mod tls;
mod web;
mod window;

pub use access::{Auth, RateLimit, Token, User, check_token_name, parse_timestamp};
pub use command_line::{CommandLineTarget, command_line_target, command_line_target_with};
pub use credentials::Credentials;
pub use deliveries::Deliveries;
pub use delivery_log::DeliveryLog;
pub use discovery::{Discovery, DiscoveryReport};
pub use effective::effective_yaml;
pub use env_file::ENV_FILE_BYTES_MAX;
pub use environment::Environment;
pub use excerpt::excerpt;
pub use export::Export;
pub use health::Health;
pub use load::{FILE_BYTES_MAX, TARGETS_MAX, load, parse, parse_endpoints, parse_with, read};
pub use log_files::{LOG_FILES_INTERVAL, LogFiles, read_problem};
pub use origin::Origin;
pub use otlp::{Compression, HistogramForm, Otlp, Protocol, REQUEST_BYTES_DEFAULT, Temporality};
pub use part::TargetPart;
pub use passthrough::Passthrough;
pub use pem::Pem;
pub use prometheus::Prometheus;
pub use queue::{Queue, Retry, Spool};
pub use receive::{MAX_BYTES_DEFAULT as RECEIVE_BYTES_DEFAULT, Receive};
pub use record_detail::{GROUPS_DEFAULT, GROUPS_MAX, RECORD_DIMENSIONS, RecordDetail, RecordDimension};
pub use reload::Reload;
pub use secret::{Secret, SecretError};
pub use server_tls::{ClientAuth, ServerTls, TlsVersion};
pub use shard::Shard;
pub use systems_files::{SystemsFiles, read_definitions, unknown_system};
pub use target::{DUE_SHARE, Target, is_name as is_target_name};
pub use targets_files::TargetsFiles;
pub use targets_http::TargetsHttp;
pub use telemetry::{LogFormat, LogLevel, SERVICE_NAME_DEFAULT, Telemetry, TelemetryOtlp};
pub use tls::Tls;
pub use web::{EndpointRate, WebConfig};
pub use window::Window;

pub(crate) use crate::yaml::quoted;
pub(crate) use crate::yaml::text::suggestion;
pub use crate::yaml::text::{show_bytes, show_duration};
pub use crate::yaml::{Problem, Problems};

use crate::yaml::{self, map, problem, text};

use std::path::PathBuf;

/// A configuration file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Key `targets`: the mail servers to poll, with the keys that they inherit from `defaults`.
    pub targets: Vec<Target>,
    /// Key `shard`: the share of the targets to poll; `None` is all of them.
    pub shard: Option<Shard>,
    /// Key `systems_files`: files with definitions of mail systems.
    pub systems_files: SystemsFiles,
    /// Key `targets_files`: files with more targets.
    pub targets_files: TargetsFiles,
    /// Key `targets_http`: a list of more targets, which is requested over HTTP.
    pub targets_http: Option<TargetsHttp>,
    /// Key `export`: the exporters.
    pub export: Export,
    /// Key `health`: a listener for probes; `None` leaves them to the pull endpoint.
    pub health: Option<Health>,
    /// Key `receive`: a listener for delivery records; `None` receives none.
    pub receive: Option<Receive>,
    /// Key `telemetry`: Postmeter's own logs, metrics and traces.
    pub telemetry: Telemetry,
    /// Key `state_dir`: a directory for read positions of delivery logs and the key of their hashes. `None` keeps no state.
    pub state_dir: Option<PathBuf>,
    /// Key `reload`: the triggers that reload the file, besides SIGHUP.
    pub reload: Reload,
    /// Settings that are valid but probably not intended.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Keeps only the targets of one shard: of `shard`, or else of the file's shard.
    #[must_use]
    pub fn sharded(mut self, shard: Option<Shard>) -> Self {
        self.shard = shard.or(self.shard);
        if let Some(shard) = self.shard {
            self.targets.retain(|target| shard.contains(&target.name));
        }
        self
    }

    /// Returns `true` if the target belongs to the shard of this configuration.
    #[must_use]
    pub fn polls(&self, target: &Target) -> bool {
        self.shard.is_none_or(|shard| shard.contains(&target.name))
    }
}
