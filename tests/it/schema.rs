//! `postmeter config-schema`: a schema that takes what the program takes, and knows the keys that it knows.
#![allow(clippy::unwrap_used)]

use crate::support::{FIXTURES, postmeter, stdout};
use jsonschema::Validator;
use postmeter::config::{self, Environment};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Like no key, so that the program names all that there are.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

fn schema() -> Value {
    let output = postmeter().arg("config-schema").output().unwrap();
    assert!(output.status.success());
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[track_caller]
fn takes(validator: &Validator, name: &str, text: &str) {
    let errors: Vec<String> = validator.iter_errors(&yaml(text)).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}:\n{}", errors.join("\n"));
}

#[test]
fn it_is_a_schema_and_takes_every_good_file() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in ["otel-config/postmeter.yaml", "tests/fixtures/config/contract.yaml"] {
        takes(&validator, name, &std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap());
    }
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).filter(|b| b.contains("targets:\n")).collect();
    assert!(!blocks.is_empty());
    blocks.iter().for_each(|block| takes(&validator, "README.md", block));
    for good in [
        "targets: [{name: 7, system: kumomta, url: 'http://a', relay: false, series_max: 1}]".replace(", series_max: 1", ""),
        "targets: [{name: a, system: '${env:SYSTEM}', url: '${env:URL}', timeout: '${env:T:-10s}', headers: }]".to_owned(),
        "targets: [{name: a, system: kumomta, url: 'http://a', relay: {include: a, series_max: '500', min_value: {a: '1e3'}}}]".to_owned(),
        "targets: [{name: a, system: cpanel, url: 'http://a', username: u, token: t, window: {sliding: 1h}}]\nexport: {otlp: false}\ntelemetry:".to_owned(),
    ] {
        takes(&validator, &good, &good);
    }
}

#[test]
fn it_refuses_what_the_program_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let target = |rest: &str| format!("targets: [{{name: a, system: kumomta, url: 'http://a', {rest}}}]");
    for bad in [
        "{}",
        "targets: []",
        "targets: [{name: a, system: kumomta}]",
        "targets: [{name: a, system: exim, url: 'http://a'}]",
        &target("timeout: 10"),
        &target("tls: {insecure_skip_verify: maybe}"),
        &target("parts: {fetch_mail_queue: {}}"),
        &target("format: xml"),
        &target("window: {today: UTC}"),
        &target("detail: {by: colour}"),
        &target("detail: {top: 3}"),
        &target("body_bytes_max: 64MB"),
        &target("relay: true"),
        &target("relay: {series_max: 0}"),
        "targets: [{name: a, system: kumomta, url: 'a'}]",
        "targets: [{name: a, system: kumomta, url: 'http://a'}]\nexport: {otlp: {protocol: http/json}}",
        "targets: [{name: a, system: kumomta, url: 'http://a'}]\ndefaults: {parts: {nothing: {}}}",
    ] {
        assert!(!validator.is_valid(&yaml(bad)), "{bad}");
        assert!(config::parse(bad, "bad.yaml", &Environment::default()).is_err(), "the program takes {bad}");
    }
    // The files that the program's own test has, where an unknown key is among what is wrong.
    let mut refused = 0;
    for path in crate::support::files(&Path::new(FIXTURES).join("config/bad")) {
        let said = path.extension().filter(|extension| *extension == "txt").map(|_| std::fs::read_to_string(&path).unwrap());
        // Not those in a file that the configuration names.
        let name = path.with_extension("yaml").file_name().unwrap().to_str().unwrap().to_owned();
        let unknown = |line: &str| line.starts_with(&name) && line.contains("unknown key;");
        if said.is_some_and(|said| said.lines().any(unknown)) {
            let text = std::fs::read_to_string(path.with_extension("yaml")).unwrap();
            assert!(!validator.is_valid(&yaml(&text)), "{}", path.display());
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused}");
}

/// A map with fixed keys somewhere in the file: how to get there, and its keys by the schema.
type Place = (Vec<String>, BTreeSet<String>);

fn maps(schema: &Value, path: &[String], found: &mut Vec<Place>) {
    let below = |name: &str| [path, &[name.to_owned()]].concat();
    if schema["additionalProperties"] == false {
        found.push((path.to_vec(), schema["properties"].as_object().unwrap().keys().cloned().collect()));
    } else if schema["additionalProperties"].is_object() {
        // Any part that there is.
        maps(&schema["additionalProperties"], &below("machine-info"), found);
    }
    for (name, schema) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        maps(schema, &below(name), found);
    }
    if schema["items"].is_object() {
        maps(&schema["items"], &below("0"), found);
    }
    for either in schema["anyOf"].as_array().unwrap_or(&Vec::new()) {
        maps(either, path, found);
    }
}

/// A file with an unknown key there.
fn with_unknown_key(path: &[String]) -> Value {
    let windowed = path.iter().any(|name| name == "window" || name == "messages");
    let mut file = json!({"targets": [{"name": "a", "system": if windowed { "cpanel" } else { "kumomta" }, "url": "http://a"}]});
    let mut at = &mut file;
    for name in path {
        if at.is_null() && name == "0" {
            *at = json!([{}]);
        }
        at = match at {
            Value::Array(list) => &mut list[name.parse::<usize>().unwrap()],
            nothing @ Value::Null if name == "0" => {
                *nothing = json!([null]);
                &mut nothing[0]
            }
            other => &mut other[name.as_str()],
        };
    }
    at[UNKNOWN] = json!(1);
    file
}

#[test]
fn it_knows_exactly_the_keys_that_the_program_knows() {
    let mut places = Vec::new();
    maps(&schema(), &[], &mut places);
    assert!(places.len() > 20, "{}", places.len());
    let mut wrong = Vec::new();
    for (path, keys) in places {
        let text = with_unknown_key(&path).to_string();
        let said = config::parse(&text, "file", &Environment::default()).map_or_else(|problems| problems.to_string(), |_| String::new());
        let known = said.lines().find_map(|line| line.split_once(&format!("{UNKNOWN}: unknown key; there are ")).map(|(_, known)| known));
        let known: Option<BTreeSet<String>> = known.map(|known| known.split(", ").map(str::to_owned).collect());
        if known.as_ref() != Some(&keys) {
            wrong.push(format!("{}: the schema has {keys:?}, the program {known:?}\n{said}", path.join(".")));
        }
    }
    assert!(wrong.is_empty(), "src/config/schema.rs and the decoder differ:\n{}", wrong.join("\n"));
}
