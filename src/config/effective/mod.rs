//! The effective configuration as YAML: the values that apply, whether they come from the file, from `defaults`, from the environment, from
//! the command line or from the tables of keys. Secrets, hashes of passwords and tokens, and the values of headers are masked.

mod export;
mod target;

use super::schema::{FILE, HEALTH, Key, RECEIVE, RELOAD, TARGETS_HTTP};
use super::yaml::{Written, write};
use super::{Config, Health, Receive, Reload, Target, TargetsHttp, Tls, schema, show_bytes, show_duration};
use crate::net::masked_url;
use std::borrow::Borrow;
use std::path::Path;
use std::time::Duration;

/// The replacement of a secret.
const MASK: &str = "***";

/// Writes the configuration, with the targets that are polled: those of the file and those of `targets_files`.
#[must_use]
pub fn effective_yaml<T: Borrow<Target>>(config: &Config, targets: impl IntoIterator<Item = T>) -> String {
    let Config {
        targets: _,
        shard,
        systems_files,
        targets_files,
        targets_http,
        export,
        health,
        receive,
        telemetry,
        state_dir,
        reload,
        warnings: _,
    } = config;
    let targets = targets.into_iter().map(|target| target::section(target.borrow())).collect();
    let mut file = Section::new(FILE);
    file.set("targets", Written::List(targets));
    file.set_some("targets_files", texts_if_any(targets_files.patterns()));
    file.set_some("targets_http", targets_http.as_ref().map(targets_http_section));
    file.set_some("systems_files", texts_if_any(systems_files.patterns()));
    file.set_some("shard", shard.map(|shard| text(&shard.to_string())));
    file.set_some("state_dir", state_dir.as_deref().map(path));
    file.set("export", export::section(export));
    file.set_some("health", health.as_ref().map(health_section));
    file.set_some("receive", receive.as_ref().map(receive_section));
    file.set("telemetry", export::telemetry(telemetry));
    file.set("reload", reload_section(*reload));
    write(&file.entries)
}

fn targets_http_section(list: &TargetsHttp) -> Written {
    let mut section = Section::new(TARGETS_HTTP);
    section.set("url", text(&masked_url(list.url.as_str())));
    section.set("interval", duration(list.interval));
    section.set("timeout", duration(list.timeout));
    target::set_credentials(&mut section, &list.credentials);
    section.set("headers", masked(list.headers.iter().map(|(name, _)| name.as_str())));
    section.set("tls", tls(&list.tls));
    section.set("body_bytes_max", bytes(list.body_bytes_max));
    section.into()
}

fn receive_section(receive: &Receive) -> Written {
    let mut section = Section::new(RECEIVE);
    section.set("listen", text(&receive.listen));
    section.set_some("tls", receive.tls.as_ref().map(export::server_tls));
    section.set("max_bytes", bytes(receive.max_bytes));
    section.into()
}

fn health_section(health: &Health) -> Written {
    let mut section = Section::new(HEALTH);
    section.set("listen", text(&health.listen));
    section.into()
}

fn reload_section(reload: Reload) -> Written {
    let mut section = Section::new(RELOAD);
    section.set("endpoint", flag(reload.endpoint));
    section.set("watch", flag(reload.watch));
    section.into()
}

/// Settings of a TLS client.
fn tls(tls: &Tls) -> Written {
    let mut section = Section::new(schema::TLS);
    section.set_some("ca_file", tls.ca_file.as_deref().map(path));
    section.set_some("cert_file", tls.cert_file.as_deref().map(path));
    section.set_some("key_file", tls.key_file.as_deref().map(path));
    section.set_some("server_name", tls.server_name.as_deref().map(text));
    section.set("insecure_skip_verify", flag(tls.insecure_skip_verify));
    section.into()
}

/// A map that is written, whose keys are listed in a table of the schema.
struct Section {
    keys: &'static [Key],
    entries: Vec<(String, Written)>,
}

impl Section {
    fn new(keys: &'static [Key]) -> Self {
        Self { keys, entries: Vec::new() }
    }

    /// Adds a key. A name that is not in the table is a bug.
    fn set(&mut self, name: &'static str, value: Written) {
        debug_assert!(self.keys.iter().any(|key| key.name == name), "{name} is not a key of this section");
        self.entries.push((name.to_owned(), value));
    }

    /// Adds a key that has a value. An absent key has its default.
    fn set_some(&mut self, name: &'static str, value: Option<Written>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

impl From<Section> for Written {
    fn from(section: Section) -> Self {
        Self::Map(section.entries)
    }
}

/// Text as a configuration file has it: a dollar sign would begin a reference.
fn text(text: &str) -> Written {
    Written::Text(text.replace('$', "$$"))
}

fn texts<'t>(items: impl IntoIterator<Item = &'t str>) -> Written {
    Written::List(items.into_iter().map(text).collect())
}

fn texts_if_any<'t>(items: impl IntoIterator<Item = &'t str>) -> Option<Written> {
    let mut items = items.into_iter().peekable();
    items.peek().is_some().then(|| texts(items))
}

fn path(path: &Path) -> Written {
    text(&path.display().to_string())
}

fn duration(duration: Duration) -> Written {
    Written::Plain(show_duration(duration))
}

fn bytes(bytes: usize) -> Written {
    Written::Plain(show_bytes(bytes))
}

fn number(number: impl ToString) -> Written {
    Written::Plain(number.to_string())
}

fn flag(flag: bool) -> Written {
    Written::Plain(flag.to_string())
}

/// The name of a value in a table of choices.
fn choice<T: PartialEq>(choices: &[(&str, T)], value: &T) -> Option<Written> {
    choices.iter().find(|(_, choice)| choice == value).map(|(name, _)| text(name))
}

fn mask() -> Written {
    Written::Text(MASK.to_owned())
}

/// A map with the names of secrets, and none of their values.
fn masked<'n>(names: impl IntoIterator<Item = &'n str>) -> Written {
    Written::Map(names.into_iter().map(|name| (name.to_owned(), mask())).collect())
}
