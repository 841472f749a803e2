//! Reads a configuration file and decodes its top level.

use super::decode::Decoder;
use super::map::{Item, Location, Map};
use super::schema::{FILE, TARGET};
use super::text::closest;
use super::{
    Config, Environment, Export, Health, Problem, Problems, Prometheus, Protocol, Receive, Reload, Shard, SystemsFiles, Target,
    TargetsFiles, TargetsHttp, Telemetry, listeners, otel, problem, target, yaml,
};
use crate::net::{explain_denied_access, read_limited};
use crate::source::{Source, SystemList, built_in_problems};
use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The largest size of a configuration file.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest number of targets.
pub const TARGETS_MAX: usize = 10_000;

/// The advice if the configuration file does not exist.
const MISSING_FILE_HINT: &str = "; write it with `postmeter init`, or use --config to name another file";

/// The advice if the user of the process may not read the file.
const DENIED_FILE_HINT: &str =
    "; make Postmeter's user its owner with chown, or, if it contains no credentials, let every user read it with chmod 644";
/// The advice if the user of the process may not search a directory.
const DENIED_DIRECTORY_HINT: &str = "; let it search each directory of the path with chmod o+x";

/// Reads and decodes a configuration file.
///
/// # Errors
/// Returns every problem of the file.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, Problems> {
    parse(&read(path)?, &path.display().to_string(), environment)
}

/// Reads the text of a configuration file.
///
/// # Errors
/// Returns the reason why it cannot be read.
pub fn read(path: &Path) -> Result<String, Problems> {
    read_text(path, MISSING_FILE_HINT)
}

/// Reads the text of a file up to its largest size. `hint` is appended to the error if the file does not exist.
pub(super) fn read_text(path: &Path, hint: &str) -> Result<String, Problems> {
    let name = path.display().to_string();
    let of_file = |message: String| Problems::of_file(&name, None, message);
    let read = File::open(path).and_then(|file| read_limited(file, FILE_BYTES_MAX as u64));
    let bytes = read.map_err(|error| explain_denied_access(path, error)).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => hint,
            ErrorKind::PermissionDenied if path.metadata().is_ok() => DENIED_FILE_HINT,
            ErrorKind::PermissionDenied => DENIED_DIRECTORY_HINT,
            _ => "",
        };
        Problems::of_file("", None, format!("cannot read {name}: {error}{hint}"))
    })?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(of_file(format!("exceeds the limit of {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| of_file("is not UTF-8 text".to_owned()))
}

/// Decodes the text of a configuration file. Problems refer to the file by the name `file`.
///
/// # Errors
/// Returns every problem of the text.
pub fn parse(text: &str, file: &str, environment: &Environment) -> Result<Config, Problems> {
    decode(SystemList::built_in(), text, file, environment).map_err(|problems| match built_in_problems() {
        built_in if built_in.is_empty() => problems,
        built_in => problems.and(Problems::new(built_in)),
    })
}

/// Decodes the endpoints of the text of a configuration file: `health` and `export.prometheus`. Problems of other keys do not matter.
///
/// # Errors
/// The text is not YAML.
pub fn parse_endpoints(text: &str, file: &str, environment: &Environment) -> Result<(Option<Health>, Option<Prometheus>), Problems> {
    let node = yaml::parse(text).map_err(|error| Problems::of_file(file, error.line, error.message))?;
    let mut decoder = Decoder::new(file, environment, SystemList::default());
    let mut map = decoder.map_or_empty(Some(&Item::root(&node)), FILE);
    let health = map.take("health").and_then(|item| Health::decode(&mut decoder, &item));
    let export = map.take("export");
    Ok((health, Export::decode(&mut decoder, export.as_ref(), false).prometheus))
}

/// Like [`parse`], with other mail systems than the built-in ones.
///
/// # Errors
/// See [`parse`].
pub fn parse_with(systems: &[&'static Source], text: &str, file: &str, environment: &Environment) -> Result<Config, Problems> {
    decode(systems.into(), text, file, environment)
}

fn decode(systems: SystemList, text: &str, file: &str, environment: &Environment) -> Result<Config, Problems> {
    let mut decoder = Decoder::new(file, environment, systems);
    let node = match yaml::parse(text) {
        Ok(node) => node,
        Err(error) => return Err(Problems::of_file(file, error.line, error.message)),
    };
    if matches!(node.value, yaml::Value::Nothing) {
        return Err(Problems::of_file(file, None, "is empty; it needs targets".to_owned()));
    }
    let config = decoder.map(&Item::root(&node), FILE).map(|map| Config::decode(&mut decoder, map));
    let (problems, _) = decoder.into_findings();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Problems::new(problems)),
    }
}

impl Config {
    fn decode(decoder: &mut Decoder<'_>, mut map: Map<'_>) -> Self {
        let (targets, targets_files, defaults) = (map.take("targets"), map.take("targets_files"), map.take("defaults"));
        let targets_http = map.take("targets_http");
        let (export, telemetry, reload) = (map.take("export"), map.take("telemetry"), map.take("reload"));
        let (health, receive) = (map.take("health"), map.take("receive"));
        let (shard, state_dir, systems_files) = (map.take("shard"), map.take("state_dir"), map.take("systems_files"));
        let is_misspelled = |(name, _): &(&str, Item<'_>)| closest(name, ["targets"]).is_some();
        let has_misspelled_targets = map.entries.iter().any(is_misspelled);
        decoder.finish(map);
        // Parts that need the directory only check that the key is present; its value is checked here.
        decoder.has_state_dir = state_dir.is_some();
        decoder.has_receiver = receive.is_some();
        let state_dir = state_dir.and_then(|item| decoder.path_text(&item)).map(PathBuf::from);
        let is_disabled = is_disabled(decoder);
        let export = Export::decode(decoder, export.as_ref(), is_disabled);
        decoder.logs_url_is_unknown =
            export.otlp.as_ref().is_some_and(|otlp| otlp.protocol == Protocol::HttpProtobuf && otlp.logs_endpoint().is_none());
        let has_targets_files =
            targets_files.as_ref().is_some_and(|item| matches!(&item.node.value, yaml::Value::List(list) if !list.is_empty()));
        // The error of an unknown key names the cause, so that the missing targets are not reported as well.
        let has_other_targets = has_targets_files || targets_http.is_some() || has_misspelled_targets;
        let systems_files = SystemsFiles::decode(decoder, systems_files.as_ref());
        let targets_files = TargetsFiles::decode(decoder, targets_files.as_ref(), defaults.as_ref());
        let targets_http = targets_http.and_then(|item| TargetsHttp::decode(decoder, &item, defaults.as_ref()));
        let targets = decode_targets(decoder, targets.as_ref(), defaults.as_ref(), has_other_targets);
        let reload = Reload::decode(decoder, reload.as_ref());
        let health = health.and_then(|item| Health::decode(decoder, &item));
        let receive = receive.and_then(|item| Receive::decode(decoder, &item));
        listeners::check(decoder);
        let shard = shard.and_then(|item| Shard::decode(decoder, &item));
        let has_own_receiver = telemetry.as_ref().is_some_and(|item| item.has_key("otlp"));
        let mut telemetry = decode_telemetry(decoder, telemetry.as_ref(), is_disabled);
        telemetry.metrics_in_export = export.otlp.as_ref().filter(|_| !has_own_receiver).map(|otlp| otlp.temporality);
        let warnings = take_warnings(decoder);
        Self { targets, shard, systems_files, targets_files, targets_http, export, health, receive, telemetry, state_dir, reload, warnings }
    }

    /// A configuration without targets in which the environment determines everything else, for programs that supply their own targets.
    #[must_use]
    pub fn from_env(environment: &Environment) -> Self {
        let mut decoder = Decoder::new("", environment, SystemList::default());
        let is_disabled = is_disabled(&mut decoder);
        let export = Export::decode(&mut decoder, None, is_disabled);
        let telemetry = decode_telemetry(&mut decoder, None, is_disabled);
        let warnings = take_warnings(&mut decoder);
        let (targets, systems_files, targets_files, reload) = Default::default();
        Self {
            targets,
            shard: None,
            systems_files,
            targets_files,
            targets_http: None,
            export,
            health: None,
            receive: None,
            telemetry,
            state_dir: None,
            reload,
            warnings,
        }
    }
}

/// Returns `true` if `OTEL_SDK_DISABLED` turns off every export.
fn is_disabled(decoder: &mut Decoder<'_>) -> bool {
    otel::from_variable(decoder, |d| d.otel_variable("OTEL_SDK_DISABLED"), otel::boolean).unwrap_or(false)
}

fn decode_telemetry(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>, is_disabled: bool) -> Telemetry {
    let telemetry = Telemetry::decode(decoder, item);
    Telemetry { otlp: telemetry.otlp.filter(|_| !is_disabled), ..telemetry }
}

fn take_warnings(decoder: &mut Decoder<'_>) -> Vec<Problem> {
    let mut warnings = std::mem::take(&mut decoder.warnings);
    problem::sort_and_deduplicate(&mut warnings);
    warnings
}

/// Decodes `targets` and `defaults`. An empty list is an error unless there are `targets_files` or `targets_http`.
fn decode_targets(
    decoder: &mut Decoder<'_>,
    targets: Option<&Item<'_>>,
    defaults: Option<&Item<'_>>,
    has_other_targets: bool,
) -> Vec<Target> {
    if let Some(defaults) = defaults {
        target::check_defaults(decoder, defaults);
    }
    let defaults = defaults.and_then(|item| decoder.map(item, TARGET));
    let items = match targets {
        Some(item) => decoder.list(item),
        None => Some(Vec::new()),
    };
    let Some(items) = items else { return Vec::new() };
    let location = targets.map(|item| item.location.clone()).unwrap_or_default();
    if items.is_empty() && !has_other_targets {
        decoder.report(&location, "there are no targets to poll; add one to targets, or set targets_files or targets_http");
    }
    decode_list(decoder, &location, items, defaults.as_ref())
}

/// Decodes a list of targets and checks that their names are unique.
pub(super) fn decode_list<'n>(
    decoder: &mut Decoder<'_>,
    location: &Location,
    items: Vec<Item<'n>>,
    defaults: Option<&Map<'n>>,
) -> Vec<Target> {
    let maps = if is_within_limit(decoder, location, items.len()) { items } else { Vec::new() };
    let maps = maps.iter().filter_map(|item| decoder.map(item, TARGET)).collect();
    decode_maps(decoder, maps, defaults)
}

/// Reports a list with too many targets.
pub(super) fn is_within_limit(decoder: &mut Decoder<'_>, location: &Location, targets: usize) -> bool {
    let is_within_limit = targets <= TARGETS_MAX;
    if !is_within_limit {
        decoder.report(location, format!("{targets} targets exceed the limit of {TARGETS_MAX}; run several instances"));
    }
    is_within_limit
}

/// Decodes the maps of targets and checks that their names are unique.
pub(super) fn decode_maps<'n>(decoder: &mut Decoder<'_>, maps: Vec<Map<'n>>, defaults: Option<&Map<'n>>) -> Vec<Target> {
    let mut decoded = Vec::new();
    let mut names: HashMap<String, Location> = HashMap::new();
    for map in maps {
        let (name, target) = target::decode(decoder, map, defaults);
        decoded.extend(target);
        let Some((name, location)) = name else { continue };
        if let Some(first) = names.get(&name) {
            let line = first.line.map(|line| format!(" in line {line}")).unwrap_or_default();
            decoder.report(&location, format!("{name} is also the name of {}{line}", first.path.trim_end_matches(".name")));
        } else {
            names.insert(name, location);
        }
    }
    decoded
}
