//! `docs/migration.md`: its configurations are used, and its expressions have results.

use super::needed;
use super::programs::{COLLECTOR, PROMTOOL, output_text};
use crate::support::{postmeter, stderr};
use postmeter::simulate::{Options, SimulatedServer, System};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const TEST: &str = "recipes_for_migration_work";

/// The blocks of YAML whose first line is this key, without the indentation of a surrounding list.
fn blocks(page: &str, key: &str) -> Vec<String> {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let flat = blocks.map(|block| {
        let indent = block.len() - block.trim_start().len();
        block.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect::<String>()
    });
    flat.filter(|block| block.starts_with(&format!("{key}:\n"))).collect()
}

/// The expressions in the last column of the tables.
fn expressions(page: &str) -> Vec<String> {
    let rows = page.lines().map(str::trim).filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit_once(" | ").map(|(_, cell)| cell.trim()));
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    spans.filter(|span| span.contains(['{', '('])).map(str::to_owned).collect()
}

/// Replaces the servers of a configuration by simulated ones.
async fn with_simulated_servers(config: &str, servers: &mut Vec<SimulatedServer>) -> Value {
    let mut config: Value = serde_saphyr::from_str(config).unwrap();
    for target in config["targets"].as_array_mut().unwrap() {
        let system = System::from_name(target["system"].as_str().unwrap()).unwrap();
        let server = SimulatedServer::start(system, ([127, 0, 0, 1], 0).into(), Options::default()).await.unwrap();
        target["url"] = server.url().into();
        let keys = target.as_object_mut().unwrap();
        // The documented keys are those that the simulated server requires, if it requires any.
        for (key, value) in system.credentials() {
            let documented = keys.insert((*key).to_owned(), (*value).into());
            assert!(documented.is_some(), "{} needs {key}", system.name());
        }
        servers.push(server);
    }
    config
}

/// Polls the targets once and returns the lines with samples.
fn scrape(folder: &Path, config: &Value) -> Vec<String> {
    let path = folder.join("postmeter.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    let secrets = ["STALWART_PASSWORD", "WHM_TOKEN", "MAILCOW_KEY", "EE_TOKEN"].map(|name| (name, "unused"));
    let output = postmeter().args(["scrape", "--config"]).arg(&path).envs(secrets).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let page = String::from_utf8(output.stdout).unwrap();
    page.lines().filter(|line| !line.starts_with('#') && !line.ends_with("NaN")).map(str::to_owned).collect()
}

/// Writes a test of promtool: each expression has a result.
fn promql_test(series: &[String], expressions: &[String]) -> Value {
    // Other series are not needed, and their labels might need quotes that promtool reads differently.
    let name = |line: &String| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    let used = series.iter().filter(|line| expressions.iter().any(|expression| expression.contains(&name(line))));
    let input: Vec<Value> = used
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            json!({"series": series, "values": format!("{value}+0x20")})
        })
        .collect();
    let tests = expressions.iter().map(|expression| {
        json!({"expr": format!("count({expression}) > bool 0"), "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": 1}]})
    });
    json!({"tests": [{"interval": "1m", "input_series": input, "promql_expr_test": tests.collect::<Vec<_>>()}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn recipes_for_migration_work() {
    let Some([collector, promtool]) = needed(TEST, [&COLLECTOR, &PROMTOOL]) else { return };
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/migration.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let accepts = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", output_text(&output));
    };

    let configs = blocks(&page, "targets");
    assert_eq!(configs.len(), page.matches("\n## From ").count(), "each recipe has a configuration");
    let (mut servers, mut series) = (Vec::new(), Vec::new());
    for config in &configs {
        let config = with_simulated_servers(config, &mut servers).await;
        series.extend(tokio::task::block_in_place(|| scrape(folder.path(), &config)));
    }
    let expressions = expressions(&page);
    for system in servers.iter().map(|server| server.system().name()) {
        let up = format!("mail_up{{job=\"{system}\"}}");
        assert!(expressions.contains(&up), "{up} is not documented");
    }
    let file = written("test.yml", &promql_test(&series, &expressions).to_string());
    accepts(Command::new(&promtool).args(["test", "rules"]).arg(file));

    for (key, command) in [("groups", ["check", "rules"]), ("scrape_configs", ["check", "config"])] {
        let blocks = blocks(&page, key);
        assert!(!blocks.is_empty(), "{key}");
        for block in blocks {
            accepts(Command::new(&promtool).args(command).arg(written("prometheus.yml", &block)));
        }
    }
    let blocks = blocks(&page, "receivers");
    assert_eq!(blocks.len(), 1);
    for block in blocks {
        let path = written("collector.yaml", &block);
        accepts(Command::new(&collector).arg("validate").arg(format!("--config={}", path.display())));
    }
    for server in servers {
        server.shutdown().await;
    }
}
