//! The configuration file as types: read whole, checked whole, every problem reported with its line.
//!
//! The documentation of these types is the manual; `otel-config/postmeter.yaml` shows every key. A key stands in backquotes
//! before what it means, and each says what leaving it out means.
//!
//! # The file goes before the environment
//!
//! OTEL_ variables fill what the file leaves out, and never override it: what is written down for this program says more
//! than what is set for every program. Only `OTEL_SDK_DISABLED` has the last word.
//!
//! # Unknown keys are refused
//!
//! A misspelled `insecure_skip_verfy` or `min_intervall` must not be a setting that silently is not there.

mod access;
mod adhoc;
mod credentials;
mod decode;
mod delivery_log;
mod discovery;
mod environment;
mod export;
mod files;
mod fingerprint;
mod otel;
mod otlp;
mod part;
mod passthrough;
mod pem;
mod problem;
mod protection;
mod queue;
mod reload;
mod request;
pub mod schema;
mod secret;
mod server_tls;
mod shard;
mod target;
mod telemetry;
mod template;
mod tls;
mod web;
mod window;
mod yaml;

pub use access::{Auth, RateLimit, Token, User, check_token_name, moment};
pub use adhoc::{CommandLineTarget, adhoc, adhoc_with};
pub use credentials::Credentials;
pub use decode::show_bytes;
pub use delivery_log::{MESSAGES_INTERVAL_DEFAULT, Messages, OVERLAP_DEFAULT};
pub use discovery::{Discovery, Report};
pub use environment::Environment;
pub use export::{Export, Prometheus, check_listen};
pub use files::{FILES_MAX, TargetsFiles};
pub use otlp::{Compression, Otlp, Protocol, REQUEST_BYTES_DEFAULT, Temporality};
pub use part::TargetPart;
pub use passthrough::{Relay, SERIES_MAX_DEFAULT};
pub use pem::Pem;
pub use problem::{Origin, Problem, Problems};
pub use queue::{QUEUE_BYTES_DEFAULT, Queue, Retry, Spool};
pub use reload::Reload;
pub use secret::{Secret, SecretError};
pub use server_tls::{ClientAuth, ServerTls, TlsVersion};
pub use shard::Shard;
pub use target::{DUE_SHARE, Target};
pub use telemetry::{LogFormat, LogLevel, SERVICE_NAME_DEFAULT, Telemetry, TelemetryOtlp};
pub use tls::Tls;
pub use web::{EndpointRate, WebConfig};
pub use window::Window;

use crate::source::{SOURCES, Source};
use decode::{Decoder, Item, KeyPath, Map};
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of a configuration file.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Targets of a configuration file.
pub const TARGETS_MAX: usize = 1000;

/// A configuration file.
#[derive(Clone, Debug)]
pub struct Config {
    /// `targets:` required, unless there are `targets_files`: the mail servers to poll. What several have in common may stand in
    /// `defaults:` (see [`Target`]).
    pub targets: Vec<Target>,
    /// `shard:` which of several shards of the targets is polled here, `0/3` for the first of three. Left out: all of them.
    pub shard: Option<Shard>,
    /// `targets_files:` where more of them stand. Left out: nowhere.
    pub targets_files: TargetsFiles,
    /// `export:` the ways out. Left out: Prometheus on `localhost:9464`, and OTLP if an OTEL_ variable asks for it.
    pub export: Export,
    /// `telemetry:` Postmeter's own logs, metrics and traces. Left out: text logs at level info, nothing by OTLP.
    pub telemetry: Telemetry,
    /// `state_dir:` a directory for what must survive a restart: how far delivery logs were read, and the key of their hashes.
    /// Left out: nothing is kept, and no part may need it.
    pub state_dir: Option<PathBuf>,
    /// `reload:` how else than by SIGHUP the file is read again. Left out: not.
    pub reload: Reload,
    /// What works, and may not be meant.
    pub warnings: Vec<Problem>,
}

/// Reads a configuration file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, Problems> {
    parse(&read_text(path, NOT_THERE)?, &path.display().to_string(), environment)
}

/// What to do about a configuration file that is not there.
const NOT_THERE: &str = "; --config names another file";

/// The text of a file, bounded; where it is not there, `hint` says what to do.
fn read_text(path: &Path, hint: &str) -> Result<String, Problems> {
    let name = path.display().to_string();
    let whole = |message: String| Problems::new(vec![Problem { file: name.clone(), line: None, path: String::new(), message }]);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| whole(format!("{error}{}", if error.kind() == ErrorKind::NotFound { hint } else { "" })))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(whole(format!("has more than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| whole("is not UTF-8 text".to_owned()))
}

/// Reads the text of a configuration file; problems name it so.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, file: &str, environment: &Environment) -> Result<Config, Problems> {
    parse_with(SOURCES, text, file, environment)
}

/// [`parse`] with other mail systems than [`SOURCES`].
///
/// # Errors
/// As there.
pub fn parse_with(systems: &[&'static Source], text: &str, file: &str, environment: &Environment) -> Result<Config, Problems> {
    let mut decoder = Decoder::new(file, environment, systems);
    let node = match yaml::parse(text) {
        Ok(node) => node,
        Err((line, message)) => {
            decoder.problem(&KeyPath { line, ..KeyPath::default() }, message);
            return Err(Problems::new(decoder.problems));
        }
    };
    if matches!(node.value, yaml::Value::Nothing) {
        decoder.problem(&KeyPath::default(), "is empty; it needs targets");
        return Err(Problems::new(decoder.problems));
    }
    let root = Item::root(&node);
    let Some(mut map) = decoder.map(&root) else { return Err(Problems::new(decoder.problems)) };
    let (targets, defaults, shard) = (map.take("targets"), map.take("defaults"), map.take("shard"));
    let (export, telemetry) = (map.take("export"), map.take("telemetry"));
    let state_dir = map.take("state_dir");
    let (targets_files, reload) = (map.take("targets_files"), map.take("reload"));
    decoder.finish(map);
    // A part may need it, so that its key alone counts: what is wrong with its value is said once.
    decoder.has_state_dir = state_dir.is_some();
    let state_dir = state_dir.and_then(|item| decoder.word(&item)).map(PathBuf::from);
    let disabled = is_disabled(&mut decoder);
    let export = ways_out(&mut decoder, export.as_ref(), disabled);
    decoder.logs_have_no_url =
        export.otlp.as_ref().is_some_and(|otlp| otlp.protocol == Protocol::HttpProtobuf && otlp.logs_endpoint().is_none());
    let elsewhere = targets_files.as_ref().is_some_and(|item| matches!(&item.node.value, yaml::Value::List(list) if !list.is_empty()));
    let files = TargetsFiles::decode(&mut decoder, targets_files.as_ref(), defaults.as_ref());
    let targets = decode_targets(&mut decoder, targets.as_ref(), defaults.as_ref(), elsewhere);
    let reload = Reload::decode(&mut decoder, reload.as_ref());
    let shard = shard.and_then(|item| Shard::decode(&mut decoder, &item));
    let rest = the_rest(&mut decoder, targets, export, telemetry.as_ref(), disabled);
    let config = Config { shard, targets_files: files, reload, state_dir, ..rest };
    if decoder.problems.is_empty() { Ok(config) } else { Err(Problems::new(decoder.problems)) }
}

impl Config {
    /// With the targets of one shard only: of the one given, or else of the file's.
    #[must_use]
    pub fn sharded(mut self, shard: Option<Shard>) -> Self {
        self.shard = shard.or(self.shard);
        if let Some(shard) = self.shard {
            self.targets.retain(|target| shard.holds(&target.name));
        }
        self
    }

    /// Whether the target is polled here.
    #[must_use]
    pub fn holds(&self, target: &Target) -> bool {
        self.shard.is_none_or(|shard| shard.holds(&target.name))
    }

    /// No targets, and what the environment says otherwise: for programs that bring their own targets.
    #[must_use]
    pub fn from_env(environment: &Environment) -> Self {
        let mut decoder = Decoder::new("", environment, &[]);
        let disabled = is_disabled(&mut decoder);
        let export = ways_out(&mut decoder, None, disabled);
        the_rest(&mut decoder, Vec::new(), export, None, disabled)
    }
}

/// The ways out that there are.
fn ways_out(decoder: &mut Decoder<'_>, export: Option<&Item<'_>>, disabled: bool) -> Export {
    let place = export.map_or_else(|| KeyPath { path: "export".to_owned(), ..KeyPath::default() }, |item| item.place.clone());
    let export = Export::decode(decoder, export);
    if disabled {
        decoder.warn(&KeyPath::variable("OTEL_SDK_DISABLED"), "nothing is exported");
        return Export::off();
    }
    if export.otlp.is_none() && export.prometheus.is_none() {
        decoder.warn(&place, "there is no way out: neither otlp nor prometheus is on, so nothing is polled after the start");
    }
    export
}

fn the_rest(decoder: &mut Decoder<'_>, targets: Vec<Target>, export: Export, telemetry: Option<&Item<'_>>, disabled: bool) -> Config {
    let mut telemetry = Telemetry::decode(decoder, telemetry);
    if disabled {
        telemetry.otlp = None;
    }
    let mut warnings = std::mem::take(&mut decoder.warnings);
    problem::in_order(&mut warnings);
    let (targets_files, reload) = Default::default();
    Config { targets, shard: None, targets_files, export, telemetry, state_dir: None, reload, warnings }
}

fn is_disabled(decoder: &mut Decoder<'_>) -> bool {
    let Some(variable) = decoder.otel("OTEL_SDK_DISABLED") else { return false };
    decoder.understood(&variable, otel::boolean(&variable.value)).unwrap_or(false)
}

fn decode_targets(decoder: &mut Decoder<'_>, targets: Option<&Item<'_>>, defaults: Option<&Item<'_>>, elsewhere: bool) -> Vec<Target> {
    let defaults: Option<Map<'_>> = defaults.and_then(|item| decoder.map(item));
    if let Some(defaults) = &defaults {
        target::check_defaults(decoder, defaults);
    }
    let items = match targets {
        Some(item) => decoder.list(item),
        None => Some(Vec::new()),
    };
    let Some(items) = items else { return Vec::new() };
    let place = targets.map(|item| item.place.clone()).unwrap_or_default();
    if items.is_empty() && !elsewhere {
        decoder.problem(&place, "no targets: there is nothing to poll");
    }
    decode_list(decoder, &place, items, defaults.as_ref())
}

/// A list of targets, each with a name of its own.
fn decode_list<'n>(decoder: &mut Decoder<'_>, place: &KeyPath, items: Vec<Item<'n>>, defaults: Option<&Map<'n>>) -> Vec<Target> {
    if items.len() > TARGETS_MAX {
        decoder.problem(place, format!("{} targets are more than {TARGETS_MAX}; run several instances", items.len()));
        return Vec::new();
    }
    let mut decoded = Vec::new();
    let mut names: HashMap<String, KeyPath> = HashMap::new();
    for item in items {
        let (name, target) = target::decode(decoder, &item, defaults);
        decoded.extend(target);
        let Some((name, place)) = name else { continue };
        if let Some(first) = names.get(&name) {
            let line = first.line.map(|line| format!(" in line {line}")).unwrap_or_default();
            decoder.problem(&place, format!("{name} is also the name of {}{line}", first.path.trim_end_matches(".name")));
        } else {
            names.insert(name, place);
        }
    }
    decoded
}
