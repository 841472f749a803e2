//! Tests of the documentation: tables, configurations, commands and links are correct.
#![allow(clippy::unwrap_used)]

use crate::support::{assert_generated_section, postmeter, stdout};
use postmeter::config::{self, Environment};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DELIVERY_RECORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/delivery-records.md");

/// Generated sections of the documentation: the file, the name of the section, and the command that prints it.
const GENERATED: &[(&str, &str, &[&str])] = &[
    ("docs/metrics.md", "metrics", &["metrics", "--format", "markdown"]),
    ("docs/metrics.md", "self-metrics", &["metrics", "--self", "--format", "markdown"]),
    ("docs/configuration.md", "keys", &["config-schema", "--format", "markdown"]),
    ("docs/mail-system-files.md", "keys", &["systems", "schema", "--format", "markdown"]),
    ("docs/delivery-records.md", "record-fields", &["systems", "records"]),
];

#[test]
fn generated_sections_are_current() {
    for (file, section, command) in GENERATED {
        let output = postmeter().args(*command).output().unwrap();
        assert_generated_section(&Path::new(ROOT).join(file), section, &stdout(&output));
    }
}

/// The README and all other documentation pages, with their paths.
fn guides() -> Vec<(std::path::PathBuf, String)> {
    let root = Path::new(ROOT);
    let mut paths = crate::support::files(&root.join("docs"));
    paths.extend(
        [
            "README.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "otel-config/README.md",
            "otel-config/alerts/README.md",
            "grafana/README.md",
            "benches/README.md",
        ]
        .map(|name| root.join(name)),
    );
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The YAML blocks that are Postmeter configurations, without the indentation of a surrounding list.
fn configurations(text: &str) -> Vec<String> {
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let flat = blocks.map(|block| {
        let indent = block.len() - block.trim_start().len();
        block.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect::<String>()
    });
    // Configurations with systems_files need the files; tests/it/system_files.rs uses them.
    let flat = flat.filter(|block| !block.contains("systems_files:"));
    flat.filter(|block| block.starts_with("targets:\n") || block.contains("\ntargets:\n")).collect()
}

#[test]
fn every_attribute_of_a_log_record_is_documented() {
    let table = std::fs::read_to_string(DELIVERY_RECORDS).unwrap();
    for info in postmeter::model::FIELDS {
        for name in [info.attribute.key, info.name].into_iter().filter(|name| !name.is_empty()) {
            assert!(table.contains(&format!("`{name}`")), "{name} is not documented");
        }
    }
}

#[test]
fn every_configuration_is_valid() {
    let mut secrets = vec!["KUMOMTA_PASSWORD", "STALWART_PASSWORD", "STALWART_API_KEY", "EE_TOKEN", "CEYMAIL_TOKEN", "WHM_TOKEN"];
    secrets.extend([
        "RSPAMD_PASSWORD",
        "MAILCOW_KEY",
        "PMG_PASSWORD",
        "SENDGRID_KEY",
        "MAILGUN_KEY",
        "POSTMARK_TOKEN",
        "MTA1_TOKEN",
        "EE_SERVICE_SECRET",
    ]);
    let environment: Environment = secrets.into_iter().map(|name| (name, "x")).collect();
    let mut checked = 0;
    for (path, text) in guides() {
        for block in configurations(&text) {
            checked += 1;
            if let Err(problems) = config::parse(&block, "README.md", &environment) {
                panic!("{}: {problems}", path.display());
            }
        }
    }
    assert!(checked >= 9, "{checked} configurations");
}

#[test]
fn every_link_has_a_target() {
    for (path, text) in guides() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            let anchor =
                |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-").replace(['/', ',', '\'', '.'], "");
            let is_heading = |line: &str| line.starts_with('#') && anchor(line) == heading;
            assert!(heading.is_empty() || std::fs::read_to_string(target).unwrap().lines().any(is_heading), "{}: {link}", path.display());
        }
    }
}

/// Parses every command line in code blocks. With `--help` the command is not run, but unknown subcommands and options are errors.
#[test]
fn every_command_line_is_valid() {
    let mut checked = 0;
    for (path, text) in guides() {
        for line in text.split("```").skip(1).step_by(2).flat_map(str::lines) {
            let Some(arguments) = line.trim_start_matches("$ ").strip_prefix("postmeter ") else { continue };
            let arguments = arguments.split(" #").next().unwrap_or_default().split_whitespace();
            let output = postmeter().args(arguments).arg("--help").output().unwrap();
            assert!(output.status.success(), "{}: {line}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} command lines");
}

#[test]
fn every_named_source_file_exists() {
    let mut checked = 0;
    for (path, text) in guides() {
        for name in text.split('`').skip(1).step_by(2).filter(|name| ["src/", "tests/"].iter().any(|folder| name.starts_with(folder))) {
            let is_pattern = name.contains(['*', ' ']) || name.contains("NAME");
            assert!(is_pattern || std::path::Path::new(ROOT).join(name).exists(), "{}: {name} does not exist", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} files");
}
