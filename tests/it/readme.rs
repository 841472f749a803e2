//! Claims and generated tables of the documentation.
#![allow(clippy::unwrap_used)]

use crate::support::{assert_generated_section, postmeter, stdout};
use postmeter::config::{self, Environment};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DELIVERY_LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/delivery-log.md");

/// Returns the standard output of the program.
fn output(args: &[&str]) -> String {
    stdout(&postmeter().args(args).output().unwrap())
}

#[test]
fn the_table_of_metrics_is_current() {
    assert_generated_section(&Path::new(ROOT).join("docs/metrics.md"), "metrics", &output(&["metrics", "--format", "markdown"]));
}

#[test]
fn the_tables_of_configuration_keys_are_current() {
    let tables = output(&["config-schema", "--format", "markdown"]);
    assert_generated_section(&Path::new(ROOT).join("docs/configuration.md"), "keys", &tables);
}

/// Returns the README and all pages of the documentation.
fn guides() -> Vec<(std::path::PathBuf, String)> {
    let root = Path::new(ROOT);
    let mut paths = crate::support::files(&root.join("docs"));
    paths.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md", "otel-config/README.md", "grafana/README.md"].map(|name| root.join(name)));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// Returns the YAML blocks that are configurations, without the indentation of a surrounding list.
fn configurations(text: &str) -> Vec<String> {
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let flat = blocks.map(|block| {
        let indent = block.len() - block.trim_start().len();
        block.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect::<String>()
    });
    flat.filter(|block| block.starts_with("targets:\n") || block.contains("\ntargets:\n")).collect()
}

#[test]
fn every_attribute_of_a_log_record_is_documented() {
    let page = std::fs::read_to_string(DELIVERY_LOG).unwrap();
    let (_, rest) = page.split_once("## Attributes of a log record").unwrap();
    let (table, _) = rest.split_once("\n## ").unwrap();
    for info in postmeter::model::FIELDS {
        for name in [info.attribute.key, info.name].into_iter().filter(|name| !name.is_empty()) {
            assert!(table.contains(&format!("`{name}`")), "{name} is not documented");
        }
    }
}

#[test]
fn configurations_in_the_documentation_are_valid() {
    let secrets = ["KUMOMTA_PASSWORD", "STALWART_PASSWORD", "STALWART_API_KEY", "EE_TOKEN", "CEYMAIL_TOKEN", "WHM_TOKEN"];
    let environment: Environment = secrets.map(|name| (name, "x")).into_iter().collect();
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
fn links_in_the_documentation_are_valid() {
    for (path, text) in guides() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let at = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(at.exists(), "{link}");
            let anchor =
                |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-").replace(['/', ',', '\'', '.'], "");
            let is_target = |line: &str| line.starts_with('#') && anchor(line) == heading;
            assert!(heading.is_empty() || std::fs::read_to_string(at).unwrap().lines().any(is_target), "{link}");
        }
    }
}
