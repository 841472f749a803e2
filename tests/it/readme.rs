//! Claims of the documentation that can be tested.
#![allow(clippy::unwrap_used)]

use crate::support::{postmeter, stdout};
use postmeter::config::{self, Environment};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const METRICS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const DELIVERY_LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/delivery-log.md");

/// Compares both tables of metrics with the output of the program. `POSTMETER_BLESS=1` rewrites them.
#[test]
fn the_documented_metrics_are_those_of_the_program() {
    for (marker, option) in [("metrics", None), ("self-metrics", Some("--self"))] {
        let (begin, end) = (format!("<!-- {marker} -->\n"), format!("<!-- /{marker} -->"));
        let page = std::fs::read_to_string(METRICS).unwrap();
        let table = stdout(&postmeter().args(["metrics", "--format", "markdown"]).args(option).output().unwrap());
        let (head, rest) = page.split_once(&begin).unwrap();
        let (documented, tail) = rest.split_once(&end).unwrap();
        if std::env::var_os("POSTMETER_BLESS").is_some() {
            std::fs::write(METRICS, format!("{head}{begin}{table}{end}{tail}")).unwrap();
        } else {
            assert_eq!(documented, table, "POSTMETER_BLESS=1 rewrites it");
        }
    }
}

/// The README and all pages behind it.
fn guides() -> Vec<(std::path::PathBuf, String)> {
    let root = std::path::Path::new(ROOT);
    let mut paths = crate::support::files(&root.join("docs"));
    paths.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md", "otel-config/README.md", "grafana/README.md"].map(|name| root.join(name)));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
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
fn its_configuration_loads() {
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
fn its_links_lead_somewhere() {
    for (path, text) in guides() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let at = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(at.exists(), "{link}");
            let anchor =
                |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-").replace(['/', ',', '\'', '.'], "");
            let is_there = |line: &str| line.starts_with('#') && anchor(line) == heading;
            assert!(heading.is_empty() || std::fs::read_to_string(at).unwrap().lines().any(is_there), "{link}");
        }
    }
}
