//! The README says what is so.
#![allow(clippy::unwrap_used)]

use crate::support::{postmeter, stdout};
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

/// The README, and the guide behind it.
fn guides() -> [(std::path::PathBuf, String); 2] {
    ["README.md", "otel-config/README.md"].map(|name| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    })
}

/// The blocks of YAML that configure us, without the indentation of the list that they may stand in.
fn configurations(text: &str) -> Vec<String> {
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let flat = blocks.map(|block| {
        let indent = block.len() - block.trim_start().len();
        block.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect::<String>()
    });
    flat.filter(|block| block.starts_with("targets:\n") || block.contains("\ntargets:\n")).collect()
}

#[test]
fn it_names_every_attribute_of_a_log_record() {
    let readme = std::fs::read_to_string(README).unwrap();
    let (_, rest) = readme.split_once("Attributes of a log record").unwrap();
    let (table, _) = rest.split_once("\n\nWith it, always").unwrap();
    for info in postmeter::model::FIELDS {
        for name in [info.attribute.key, info.name].into_iter().filter(|name| !name.is_empty()) {
            assert!(table.contains(&format!("`{name}`")), "{name} is not documented");
        }
    }
}

#[test]
fn its_configuration_loads() {
    let secrets = ["KUMOMTA_PASSWORD", "STALWART_PASSWORD", "STALWART_API_KEY", "EE_TOKEN", "CEYMAIL_TOKEN", "WHM_TOKEN"];
    let environment: Environment = secrets.map(|name| (name, "x")).into_iter().collect();
    for ((path, text), of_systems) in guides().into_iter().zip([2, 5]) {
        let ours = configurations(&text);
        assert!(ours.len() >= of_systems, "{}: {ours:#?}", path.display());
        for block in ours {
            if let Err(problems) = config::parse(&block, "README.md", &environment) {
                panic!("{}: {problems}", path.display());
            }
        }
    }
}

#[test]
fn its_links_lead_somewhere() {
    for (path, text) in guides() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let at = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(at.exists(), "{link}");
            let is_there =
                |line: &str| line.starts_with('#') && line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-") == heading;
            assert!(heading.is_empty() || std::fs::read_to_string(at).unwrap().lines().any(is_there), "{link}");
        }
    }
}
