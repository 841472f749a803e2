//! The table of `OTEL_*` variables in docs/configuration.md lists exactly the variables that Postmeter and OpenTelemetry's SDK read.
#![allow(clippy::unwrap_used)]

use crate::support::files;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// The crates of the SDK that read variables. Those that Postmeter's exporters do not use are in the table as well.
const SDK: [&str; 2] = ["opentelemetry_sdk", "opentelemetry-otlp"];

/// The names in a text: runs of capital letters and underscores that begin with `OTEL_`, between these characters.
fn names_between(text: &str, quote: char) -> BTreeSet<String> {
    let is_name = |part: &&str| part.starts_with("OTEL_") && part.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    text.split(quote).filter(is_name).map(str::to_owned).collect()
}

/// The variables that Postmeter's decoder looks up. `otlp_variable` looks up one of metrics and one of all signals.
fn read_by_postmeter() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files(&Path::new(REPOSITORY).join("src")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.split("\n#[cfg(test)]").next().unwrap();
        for call in text.split("otel_variable(\"").skip(1) {
            names.insert(call.split('"').next().unwrap().to_owned());
        }
        for call in text.split("otlp_variable(").skip(1) {
            let arguments = call.split(')').next().unwrap();
            // The declaration has no text.
            let Some(name) = arguments.split('"').nth(1) else { continue };
            names.extend(["METRICS_", ""].map(|signal| format!("OTEL_EXPORTER_OTLP_{signal}{name}")));
        }
    }
    assert!(names.len() > 20, "{names:?}");
    names
}

/// The output of a tool of the Rust toolchain, whose path is in this variable.
fn output_of(variable: &str, tool: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(std::env::var_os(variable).unwrap_or_else(|| tool.into()));
    let output = command.args(arguments).current_dir(REPOSITORY).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The variables in the sources of the SDK, outside its tests.
fn read_by_the_sdk() -> BTreeSet<String> {
    let version = output_of("RUSTC", "rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Only for this platform, because Cargo has not downloaded the crates that only others need.
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host];
    let metadata: serde_json::Value = serde_json::from_str(&output_of("CARGO", "cargo", &arguments)).unwrap();
    let mut names = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap().iter().filter(|package| SDK.iter().any(|name| package["name"] == *name)) {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        for path in files(&manifest.parent().unwrap().join("src")) {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            names.extend(names_between(&text, '"'));
        }
    }
    assert!(names.len() > 20, "{names:?}");
    names
}

#[test]
fn the_table_lists_every_variable() {
    let page = std::fs::read_to_string(Path::new(REPOSITORY).join("docs/configuration.md")).unwrap();
    let table = page.split_once("<!-- otel -->").unwrap().1.split_once("<!-- /otel -->").unwrap().0;
    let listed: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .flat_map(|cell| names_between(&format!("`{cell}"), '`'))
        .collect();
    let read: BTreeSet<String> = &read_by_postmeter() | &read_by_the_sdk();
    let missing: Vec<_> = read.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&read).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not in the table: {missing:?}\nnot read: {unknown:?}");
}
