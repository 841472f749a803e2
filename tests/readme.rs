//! The README says what is so.
#![allow(clippy::unwrap_used)]

mod common;

use common::{postmeter, stdout};
use postmeter::config::{self, Environment};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- /metrics -->";

/// `POSTMETER_BLESS=1` rewrites the table.
#[test]
fn its_table_of_metrics_is_the_programs() {
    let readme = std::fs::read_to_string(README).unwrap();
    let table = stdout(&postmeter().args(["metrics", "--format", "markdown"]).output().unwrap());
    let (head, rest) = readme.split_once(BEGIN).unwrap();
    let (said, tail) = rest.split_once(END).unwrap();
    if std::env::var_os("POSTMETER_BLESS").is_some() {
        return std::fs::write(README, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
    }
    assert_eq!(said, table, "POSTMETER_BLESS=1 rewrites it");
}

#[test]
fn its_configuration_loads() {
    let readme = std::fs::read_to_string(README).unwrap();
    let secrets = ["STALWART_PASSWORD", "STALWART_API_KEY", "EE_TOKEN", "CEYMAIL_TOKEN", "WHM_TOKEN"];
    let environment: Environment = secrets.map(|name| (name, "x")).into_iter().collect();
    let blocks = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let ours: Vec<&str> = blocks.filter(|block| block.contains("targets:\n")).collect();
    assert!(!ours.is_empty());
    for block in ours {
        if let Err(problems) = config::parse(block, "README.md", &environment) {
            panic!("{problems}");
        }
    }
}

#[test]
fn its_links_lead_somewhere() {
    let readme = std::fs::read_to_string(README).unwrap();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}
