//! `postmeter config-schema`: the schema accepts the files that the program accepts, and every key of it is decoded and documented.
#![allow(clippy::unwrap_used)]

use crate::support::{FIXTURES, postmeter, stdout};
use jsonschema::Validator;
use postmeter::config::schema::{FILE, Key, Shape};
use postmeter::config::{self, Environment};
use serde_json::{Map, Value, json};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn schema() -> Value {
    let output = postmeter().arg("config-schema").output().unwrap();
    assert!(output.status.success());
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[track_caller]
fn check_valid(validator: &Validator, name: &str, text: &str) {
    let errors: Vec<String> = validator.iter_errors(&yaml(text)).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}:\n{}", errors.join("\n"));
}

#[test]
fn the_schema_accepts_valid_files() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in ["otel-config/postmeter.yaml", "tests/fixtures/config/contract.yaml"] {
        check_valid(&validator, name, &std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap());
    }
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).filter(|b| b.contains("targets:\n")).collect();
    assert!(!blocks.is_empty());
    blocks.iter().for_each(|block| check_valid(&validator, "README.md", block));
    for file in [
        "targets: [{name: 7, system: kumomta, url: 'http://a', relay: false}]",
        "targets: [{name: a, system: '${env:SYSTEM}', url: '${env:URL}', timeout: '${env:T:-10s}', headers: }]",
        "targets: [{name: a, system: kumomta, url: 'http://a', relay: {include: a, series_max: '500', min_value: {a: '1e3'}}}]",
        "targets: [{name: a, system: cpanel, url: 'http://a', username: u, token: t, window: {sliding: 1h}}]\nexport: {otlp: false}\ntelemetry:",
    ] {
        check_valid(&validator, file, file);
    }
}

#[test]
fn the_schema_rejects_files_that_the_program_rejects() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let target = |keys: &str| format!("targets: [{{name: a, system: kumomta, url: 'http://a', {keys}}}]");
    for file in [
        "{}",
        "targets: []",
        "targets: [{name: a, system: kumomta}]",
        "targets: [{name: a, system: 'my mta', url: 'http://a'}]",
        &target("timeout: 10"),
        &target("tls: {insecure_skip_verify: maybe}"),
        &target("parts: {fetch_mail_queue: {}}"),
        &target("format: xml"),
        &target("window: {today: UTC}"),
        &target("detail: {by: colour}"),
        &target("detail: {top: 3}"),
        &target("body_bytes_max: 64MB"),
        &target("relay: maybe"),
        &target("relay: {series_max: 0}"),
        "targets: [{name: a, system: kumomta, url: 'a'}]",
        "targets: [{name: a, system: kumomta, url: 'http://a'}]\nexport: {otlp: {protocol: http/json}}",
        "targets: [{name: a, system: kumomta, url: 'http://a'}]\ndefaults: {parts: {nothing: {}}}",
    ] {
        assert!(!validator.is_valid(&yaml(file)), "{file}");
        assert!(config::parse(file, "file.yaml", &Environment::default()).is_err(), "the program accepts {file}");
    }
    let mut rejected = 0;
    for path in crate::support::files(&Path::new(FIXTURES).join("config/bad")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let Err(errors) = config::parse(&text, "file.yaml", &Environment::default()) else { continue };
        // Unknown keys of a web_config_file are reported with the name of that file.
        if errors.iter().any(|error| error.file == "file.yaml" && error.message.starts_with("unknown key;")) {
            assert!(!validator.is_valid(&yaml(&text)), "{}", path.display());
            rejected += 1;
        }
    }
    assert!(rejected >= 10, "{rejected}");
}

/// The paths of all keys with a fixed name, according to the schema.
fn key_paths(schema: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    let child = |name: &str| [path, &[name.to_owned()]].concat();
    if schema["additionalProperties"].is_object() {
        // The name of a part that exists.
        key_paths(&schema["additionalProperties"], &child("machine-info"), found);
    }
    for (name, schema) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        found.push(child(name));
        key_paths(schema, &child(name), found);
    }
    if schema["items"].is_object() {
        key_paths(&schema["items"], &child("0"), found);
    }
    for schema in schema["anyOf"].as_array().unwrap_or(&Vec::new()) {
        key_paths(schema, path, found);
    }
}

/// A file in which this key has an empty value.
fn file_with_key(path: &[String]) -> Value {
    let needs_cpanel = path.iter().any(|name| name == "window" || name == "messages");
    let mut file = json!({"targets": [{"name": "a", "system": if needs_cpanel { "cpanel" } else { "kumomta" }, "url": "http://a"}]});
    let mut node = &mut file;
    for name in path {
        if node.is_null() && name == "0" {
            *node = json!([null]);
        }
        node = match node {
            Value::Array(list) => &mut list[name.parse::<usize>().unwrap()],
            map => &mut map[name.as_str()],
        };
    }
    file
}

#[test]
fn every_key_of_the_schema_is_decoded() {
    let mut paths = Vec::new();
    key_paths(&schema(), &[], &mut paths);
    assert!(paths.len() > 100, "{}", paths.len());
    for path in paths {
        let text = file_with_key(&path).to_string();
        let errors = config::parse(&text, "file", &Environment::default()).map_or_else(|errors| errors.to_string(), |_| String::new());
        assert!(!errors.contains("unknown key"), "{}: {errors}", path.join("."));
    }
}

/// The names of all keys in these tables.
pub(super) fn names(keys: &'static [Key], found: &mut Vec<&'static str>) {
    for key in keys {
        found.push(key.name);
        names_of(&key.shape, found);
    }
}

fn names_of(shape: &'static Shape, found: &mut Vec<&'static str>) {
    match shape {
        Shape::Map(keys) | Shape::Target(keys) | Shape::Defaults(keys) => names(keys, found),
        Shape::MapAnd(keys, shape) => {
            names(keys, found);
            names_of(shape, found);
        }
        Shape::MapOf(shape) | Shape::List(shape, _) => names_of(shape, found),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| names_of(shape, found)),
        _ => {}
    }
}

#[test]
fn the_reference_file_shows_every_key() {
    let mut keys = Vec::new();
    names(FILE, &mut keys);
    let reference = std::fs::read_to_string(Path::new(ROOT).join("otel-config/postmeter.yaml")).unwrap();
    for key in keys {
        // Alternatives that exclude another key can only be mentioned in comments.
        let is_shown =
            [format!("{key}:"), format!("`{key}`"), format!("{key},"), format!("{key}\n")].iter().any(|text| reference.contains(text));
        assert!(is_shown, "otel-config/postmeter.yaml does not show {key}");
    }
}
