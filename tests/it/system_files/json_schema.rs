//! The JSON schema of definitions.

use super::*;

fn yaml(text: &str) -> serde_json::Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn the_schema_accepts_definitions_and_rejects_typical_mistakes() {
    let schema: serde_json::Value = serde_json::from_str(&stdout(&run(Path::new("."), "systems schema"))).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for source in postmeter::source::SOURCES.iter() {
        let text = stdout(&run(Path::new("."), &format!("systems show {}", source.name)));
        let errors: Vec<String> = validator.iter_errors(&yaml(&text)).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}:\n{}", source.name, errors.join("\n"));
    }
    let good = longer_definition() + &block("yaml", "after traffic");
    assert!(validator.is_valid(&yaml(&good)));
    for (from, to) in [
        ("name: mailhub", "name: mail hub"),
        ("name: mailhub\n", ""),
        ("title:", "tittle:"),
        ("parts:", "part:"),
        ("requests:", "request:"),
        ("path:", "url:"),
        ("- {path: /metrics}", "- {path: /metrics, reader: xml}"),
        ("- {path: /metrics}", "/metrics"),
        ("family: mailhub_queue\n", "fam: mailhub_queue\n"),
        ("metric: mail.queue.depth", "metric: mail.queue.deep"),
        ("metric: mail.queue.depth", "metric: mail.up"),
        ("mail.queue.state:", "mail.queue.status:"),
        ("mail.queue.state:", "mail.delivery.outcome:"),
        ("waiting: deferred", "waiting: later"),
        ("otherwise: failed", "otherwise: broken"),
        ("{mail.rejection.reason: greylist}", "{mail.rejection.reason: grey}"),
        ("metric: mail.queue.depth", "metric: mail.queue.depth\n        fall: never"),
        ("title: Mailhub", "min_interval: 10"),
        ("title: after traffic", "name: after traffic"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good, "{from}");
        assert!(!validator.is_valid(&yaml(&bad)), "the schema accepts {to}");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bad.yaml"), bad).unwrap();
        assert_eq!(run(folder.path(), "systems check bad.yaml").status.code(), Some(1), "the program accepts {to}");
    }
}
