//! Rules for the source files: which module may import which, which module may use which crate, and which terms are not used in names.
//!
//! Test modules may import everything. A path that cannot be resolved counts as forbidden.
#![allow(clippy::unwrap_used)]

mod imports;
mod names;
mod paths;
mod tokens;

use crate::support::files;
use imports::{forbidden_imports, imported_modules};
use paths::paths;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokens::tokens;

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The modules, and the modules that each may import besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("model", &[]),
    ("format", &["model", "net"]),
    ("yaml", &["net"]),
    ("source", &["format", "model", "yaml"]),
    ("config", &["source", "model", "net", "yaml"]),
    ("poll", &["source", "config", "model", "net"]),
    ("telemetry", &["poll", "model", "config", "source", "net"]),
    ("delivery_log", &["telemetry", "poll", "model", "net"]),
    ("report", &["telemetry", "poll", "model", "config"]),
    ("export", &["report", "delivery_log", "telemetry", "poll", "model", "config", "net"]),
    ("serve", &["export", "telemetry", "poll", "config", "model", "net"]),
    ("receive", &["serve", "export", "delivery_log", "telemetry", "poll", "source", "config", "model", "net"]),
    ("simulate", &[]),
    ("app", &["model", "source", "config", "poll", "telemetry", "delivery_log", "export", "serve", "receive", "simulate", "net"]),
];

/// Arrows inside a module that are forbidden: the first path may not import the second.
const FORBIDDEN_INSIDE: &[(&str, &str)] = &[
    // The export queue is independent of the protocol.
    ("export::queue", "export::otlp"),
];

/// Crates (`*` for all with the prefix), and the files that may use them.
const OWNERS: &[(&str, &[&str])] = &[
    // `config` may use `Url` only, which a test below checks, and app/connect.rs and app/init need no more. The health check sends a
    // request to Postmeter itself.
    (
        "reqwest",
        &[
            "net/tls.rs",
            "poll/",
            "export/otlp/exporter.rs",
            "export/otlp/connection.rs",
            "config/",
            "app/healthcheck.rs",
            "app/connect.rs",
            "app/init/file.rs",
            "simulate/hook/",
        ],
    ),
    // app/scrape.rs, app/otlp_json.rs and app/records.rs print OTLP messages.
    (
        "opentelemetry*",
        &[
            "telemetry/",
            "report/",
            "export/",
            "receive/outbox.rs",
            "simulate/receiver",
            "app/scrape.rs",
            "app/otlp_json.rs",
            "app/records.rs",
        ],
    ),
    // Only `telemetry` knows the SDK.
    ("opentelemetry_sdk", &["telemetry/"]),
    ("opentelemetry_prometheus", &["telemetry/"]),
    // `serve/routes` has two routes with JSON responses, and the list of `targets_http` is JSON. A JSON string is a quoted YAML scalar.
    (
        "serde_json",
        &[
            "format/json_paths/",
            "format/unique_members.rs",
            "source/",
            "config/targets_http/",
            "app/",
            "simulate/",
            "export/",
            "serve/routes/",
            "yaml/write.rs",
        ],
    ),
    ("serde_json_path", &["format/json_paths/path.rs"]),
    ("axum", &["serve/", "receive/", "simulate/"]),
    ("askama", &["serve/status_page/"]),
    ("clap*", &["app/", "main.rs"]),
    // config/pem.rs reads certificate files, so that an invalid one is a configuration error. The health check recognizes that it is rejected
    // because it has no client certificate. simulate/listener.rs is a TLS server.
    ("rustls", &["net/tls.rs", "poll/", "config/pem.rs", "config/tls.rs", "serve/access/", "simulate/listener.rs", "app/healthcheck.rs"]),
    ("webpki", &["serve/access/tls.rs"]),
    // `config` checks whether a hash is valid.
    ("bcrypt", &["serve/access/basic.rs", "config/access.rs"]),
    ("hyper_util", &["serve/http/connection.rs"]),
    // Only export/queue/request_file.rs knows the format of requests on disk.
    ("crc32fast", &["export/queue/request_file.rs"]),
    // poll/open_files.rs reads the limit of open files, app/init/prompt.rs hides what is typed, and net/denied_access.rs names the user.
    ("rustix", &["net/denied_access.rs", "net/regular_file.rs", "poll/open_files.rs", "app/init/prompt.rs"]),
    // Digests, keyed hashes and random numbers; poll/totals_file.rs identifies a server by a digest, and config/web.rs computes a digest of the bytes that it parsed. ring is also rustls' provider.
    (
        "ring",
        &[
            "source/hook/signature/",
            "receive/",
            "simulate/hook/",
            "delivery_log/",
            "serve/",
            "config/pem.rs",
            "config/web.rs",
            "net/checked_file.rs",
            "net/tls.rs",
            "poll/totals_file.rs",
            "app/token.rs",
            "app/records.rs",
            "simulate/listener.rs",
        ],
    ),
];

#[test]
fn modules_import_only_allowed_modules() {
    check(forbidden_imports);
}

#[test]
fn crates_are_used_only_where_allowed() {
    check(forbidden_crates);
}

/// An import that is allowed and does not exist could be added later without a decision.
#[test]
fn every_allowed_import_exists() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        if let Some((module, _)) = file.split_once('/') {
            found.entry(module.to_owned()).or_default().extend(imported_modules(&file, &text));
        }
    }
    let allowed = LAYERS.iter().flat_map(|(module, below)| below.iter().map(move |below| (*module, *below)));
    let unused: Vec<_> = allowed.filter(|(module, below)| !found.get(*module).is_some_and(|found| found.contains(*below))).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

fn check(forbidden: fn(&str, &str) -> Vec<String>) {
    let found: Vec<String> = sources().iter().flat_map(|(file, text)| forbidden(file, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The files of `src` that are no tests: paths below it, and texts.
fn sources() -> Vec<(String, String)> {
    let is_test = |path: &Path| path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    let sources = files(Path::new(SRC)).into_iter().filter(|path| is_rust(path) && !is_test(path));
    let named = |path: &Path| path.strip_prefix(SRC).unwrap().to_str().unwrap().to_owned();
    let sources: Vec<_> = sources.map(|path| (named(&path), std::fs::read_to_string(&path).unwrap())).collect();
    assert!(sources.len() > 80, "{} files", sources.len());
    sources
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

#[test]
fn every_module_has_a_rule() {
    let mut modules: Vec<_> = std::fs::read_dir(SRC).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    modules.sort();
    let mut known: Vec<_> = LAYERS.iter().map(|(name, _)| Path::new(SRC).join(name)).collect();
    known.sort();
    assert_eq!(modules, known);
}

/// The table of `docs/architecture.md` lists the same modules and imports as [`LAYERS`].
#[test]
fn the_documented_table_is_the_enforced_one() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/architecture.md")).unwrap();
    let (_, section) = page.split_once("## Modules and their allowed imports").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let documented: BTreeMap<&str, BTreeSet<&str>> = section.lines().filter_map(documented_imports).collect();
    let enforced = LAYERS.iter().map(|(module, below)| (*module, below.iter().copied().collect())).collect();
    assert_eq!(documented, enforced);
}

/// The module of a row of the table and the modules that it may import; `None` for other lines.
fn documented_imports(line: &str) -> Option<(&str, BTreeSet<&str>)> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, module, _, imports, _] = cells[..] else { return None };
    let module = module.strip_prefix('`')?.strip_suffix('`')?;
    let imports = match imports {
        "nothing of ours" | "nothing" | "no other module" => BTreeSet::new(),
        imports => match imports.strip_prefix("everything but ") {
            Some(forbidden) => {
                let is_allowed = |name: &&str| *name != module && forbidden.split(", ").all(|forbidden| *name != forbidden);
                LAYERS.iter().map(|(name, _)| *name).filter(is_allowed).collect()
            }
            None => imports.split(", ").collect(),
        },
    };
    Some((module, imports))
}

/// The forbidden crates that a file of `src` uses.
fn forbidden_crates(file: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (name, owners) in OWNERS {
        let named = |token: &String| name.strip_suffix('*').map_or(token == name, |start| token.starts_with(start));
        let owned = owners.iter().any(|owner| file.starts_with(owner));
        if let Some(token) = tokens.iter().find(|token| named(token)).filter(|_| !owned) {
            found.push(format!("{file} names {token}"));
        }
    }
    // One token can match several rules.
    found.dedup();
    if file.starts_with("config/") {
        for (_, path) in paths(&tokens, &["reqwest"]).into_iter().filter(|(_, path)| path.get(1).is_none_or(|item| item != "Url")) {
            found.push(format!("{file} names {}", path.join("::")));
        }
    }
    found
}

#[track_caller]
fn finds(forbidden: fn(&str, &str) -> Vec<String>, cases: &[(&str, &str, &[&str])]) {
    for (file, text, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|finding| format!("{file} {finding}")).collect();
        assert_eq!(forbidden(file, text), expected, "{text}");
    }
}

#[test]
fn the_checker_finds_forbidden_crates() {
    finds(
        forbidden_crates,
        &[
            ("source/a.rs", "use reqwest::Url;", &["names reqwest"]),
            ("export/otlp/push.rs", "fn a(b: reqwest::Client) {}", &["names reqwest"]),
            ("config/a.rs", "use reqwest::Url;", &[]),
            ("config/a.rs", "use reqwest::{Url, Client};", &["names reqwest::Client"]),
            ("config/a.rs", "use reqwest as r;", &["names reqwest"]),
            ("poll/a.rs", "use reqwest::Client; // opentelemetry", &[]),
            ("poll/a.rs", "use opentelemetry_sdk::Resource;", &["names opentelemetry_sdk"]),
            ("serve/a.rs", "use {serde_json as j};", &["names serde_json"]),
            ("model/a.rs", "extern crate axum;", &["names axum"]),
            ("export/a.rs", "use rustls;", &["names rustls"]),
            ("config/tls.rs", "use rustls::pki_types;", &[]),
        ],
    );
}
