//! `docker-compose.yml`, as read by the library of `docker compose`: services, ports, images and privileges.
#![allow(clippy::unwrap_used)]

use crate::support::skipped;
use postmeter::simulate::System;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docker-compose.yml");
const PASSWORD: (&str, &str) = ("GRAFANA_ADMIN_PASSWORD", "not-the-default");

/// The file as JSON, by the program in `POSTMETER_COMPOSE` or by docker; `None` without both.
fn read(profile: &str, variables: &[(&str, &str)]) -> Option<Output> {
    let mut command = match std::env::var_os("POSTMETER_COMPOSE") {
        Some(program) => {
            let mut command = Command::new(program);
            command.args([FILE, profile]);
            command
        }
        None => {
            let found = Command::new("docker").args(["compose", "version"]).output();
            if !found.is_ok_and(|output| output.status.success()) {
                return None;
            }
            let mut command = Command::new("docker");
            command.args(["compose", "--file", FILE, "--profile", profile, "config", "--format", "json"]);
            command
        }
    };
    command.env_remove(PASSWORD.0).env_remove("POSTMETER_CONFIG").envs(variables.iter().copied());
    Some(command.output().unwrap())
}

fn services(profile: &str) -> Option<serde_json::Map<String, Value>> {
    let output = read(profile, &[PASSWORD])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    Some(read["services"].as_object().unwrap().clone())
}

/// Runs `check` for the services of each profile, or skips the test.
#[track_caller]
fn each(test: &str, check: impl Fn(&str, &str, &Value)) {
    for profile in ["demo", "plain"] {
        let Some(services) = services(profile) else {
            assert!(std::env::var_os("POSTMETER_REQUIRE_STACK").is_none_or(|v| v != "1"), "there is no program that reads compose files");
            return skipped(test, "docker compose is not installed, and POSTMETER_COMPOSE is not set");
        };
        for (name, service) in &services {
            check(profile, name, service);
        }
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[test]
fn a_profile_has_all_of_its_services() {
    let (Some(demo), Some(plain)) = (services("demo"), services("plain")) else {
        return skipped("a_profile_has_all_of_its_services", "docker compose is not installed");
    };
    let names = |services: &serde_json::Map<String, Value>| services.keys().cloned().collect::<BTreeSet<_>>();
    let with = |more: &[&str]| {
        let stack = ["collector", "collector-volume", "grafana", "loki", "prometheus"];
        stack.iter().chain(more).map(|name| (*name).to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(names(&plain), with(&["postmeter"]));
    assert_eq!(names(&demo), with(&[&["postmeter-demo"][..], &System::DEMO.map(System::name)].concat()));
}

/// Runs the entry point of Grafana's container with its variables. Outside of the image it ends where it would start Grafana.
fn start_grafana(services: &serde_json::Map<String, Value>) -> Output {
    let grafana = &services["grafana"];
    let mut entrypoint = items(&grafana["entrypoint"]).map(|word| word.as_str().unwrap());
    let variables = grafana["environment"].as_object().unwrap().iter();
    let variables = variables.map(|(name, value)| (name, value.as_str().unwrap_or_default()));
    Command::new(entrypoint.next().unwrap()).args(entrypoint).env_remove(PASSWORD.0).envs(variables).output().unwrap()
}

#[test]
fn only_grafana_needs_its_password_and_only_to_start() {
    for password in [None, Some((PASSWORD.0, "")), Some(("UNRELATED", "x")), Some(PASSWORD), Some((PASSWORD.0, "$a'\" b"))] {
        let Some(output) = read("demo", password.as_slice()) else {
            return skipped("only_grafana_needs_its_password_and_only_to_start", "docker compose is not installed");
        };
        // `docker compose down` reads the file in the same way.
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        let output = start_grafana(read["services"].as_object().unwrap());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        let is_set = password.is_some_and(|(name, value)| name == PASSWORD.0 && !value.is_empty());
        assert_eq!(stderr.contains("set GRAFANA_ADMIN_PASSWORD"), !is_set, "{password:?}: {stderr}");
        assert_eq!(stderr.contains("/run.sh"), is_set, "{password:?}: {stderr}");
    }
}

#[test]
fn values_of_secrets_are_not_interpolated() {
    each("values_of_secrets_are_not_interpolated", |profile, name, service| {
        let files: Vec<&Value> = items(&service["env_file"]).collect();
        assert_eq!(files.is_empty(), name != "postmeter", "{profile} {name}: {files:?}");
        for file in files {
            assert_eq!((&file["format"], &file["required"]), (&"raw".into(), &false.into()), "{profile} {name}: {file}");
        }
    });
}

#[test]
fn ports_are_on_loopback() {
    each("ports_are_on_loopback", |profile, name, service| {
        for port in items(&service["ports"]) {
            assert_eq!(port["host_ip"], "127.0.0.1", "{profile} {name} {port}");
        }
    });
}

#[test]
fn images_are_pinned() {
    each("images_are_pinned", |profile, name, service| {
        // `deploy/pin-images` adds digests.
        let image = service["image"].as_str().unwrap().split('@').next().unwrap_or_default();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag.trim_start_matches('v')).unwrap_or_default();
        assert!(tag.split('.').count() == 3 && tag.split('.').all(|n| n.parse::<u32>().is_ok()), "{profile} {name} {image}");
    });
}

#[test]
fn mounted_files_exist() {
    each("mounted_files_exist", |profile, name, service| {
        for volume in items(&service["volumes"]).filter(|volume| volume["type"] == "bind") {
            let source = volume["source"].as_str().unwrap();
            assert_eq!(volume["read_only"], true, "{profile} {name} {source}");
            // The only file that the user writes.
            let is_user_file = Path::new(source).file_name().is_some_and(|name| name == "postmeter.yaml");
            assert!(is_user_file || Path::new(source).exists(), "{profile} {name} mounts {source}, which does not exist");
        }
    });
}

#[test]
fn the_state_of_the_demo_is_on_a_volume_that_its_user_owns() {
    let file = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let demo: Value = serde_saphyr::from_str(&file("otel-config/demo.yaml")).unwrap();
    let state_dir = demo["state_dir"].as_str().unwrap();
    // A new volume gets the owner of the directory in the image.
    let image = file("Dockerfile");
    let user = image.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(image.contains(&format!("--chown={user} /empty {state_dir}\n")), "{state_dir} is not owned by {user}");
    each("the_state_of_the_demo_is_on_a_volume_that_its_user_owns", |profile, name, service| {
        if name == "postmeter-demo" {
            let volume = items(&service["volumes"]).find(|volume| volume["target"] == state_dir);
            assert!(volume.is_some_and(|volume| volume["type"] == "volume" && volume["read_only"] != true), "{profile} {name}: {service}");
        }
    });
}

#[test]
fn no_container_has_needless_privileges() {
    each("no_container_has_needless_privileges", |profile, name, service| {
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{profile} {name}");
        // Grafana writes to its installation; the other container only changes an owner.
        let writes = ["grafana", "collector-volume"].contains(&name);
        assert!(writes || service["read_only"] == true, "{profile} {name} can write to its image");
    });
}

#[test]
fn tested_versions_are_those_that_run() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (compose, collector, programs) = (read("docker-compose.yml"), read(".ci/collector-build.yaml"), read(".ci/programs"));
    let after = |text: &str, start: &str| -> String {
        let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("missing {start}"));
        rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
    };
    assert_eq!(after(&compose, "opentelemetry-collector-contrib:"), after(&collector, "\n  version: "));
    assert_eq!(after(&compose, "opentelemetry-collector-contrib:"), after(&programs, "BUILDER=v"));
    // Prometheus 3.15.0 is v0.315.0 as a Go module.
    let module = after(&programs, "PROMETHEUS=v0.3");
    assert_eq!(after(&compose, "prom/prometheus:v"), format!("3.{}", module.trim_start_matches('0')));
    assert_eq!(after(&compose, "image: postmeter:"), env!("CARGO_PKG_VERSION"));
}
