//! The configuration file: errors of invalid files, exposure warnings, and helpers for the tests in the submodules.
#![allow(clippy::unwrap_used)]

mod environment;
mod files;
mod reference;
mod systems;
mod targets;
mod targets_http;

use crate::assert_text_snapshot;
use postmeter::config::{Config, Environment, Otlp, Problems, effective_yaml, load, parse_with};
use std::fs;
use std::path::{Path, PathBuf};
use systems::SYSTEMS;
use tempfile::TempDir;

const INVALID: &str = "tests/fixtures/config/bad";
/// The directory that the files refer to; each test replaces it by a temporary directory.
const ETC: &str = "/etc/postmeter";
const MAIL: &str = "targets: [{name: a, system: kumomta, url: 'https://a.example.com'}]\n";

/// Creates the secrets and certificates that the files expect in `ETC`.
fn etc() -> TempDir {
    let etc = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["host.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
    let files = [
        ("secret", "s3cret\n".to_owned()),
        ("large", "x".repeat(64 * 1024 + 1)),
        ("ca.pem", certificate.pem()),
        ("client.pem", certificate.pem()),
        ("client.key", key.serialize_pem()),
        ("other.key", rcgen::KeyPair::generate().unwrap().serialize_pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
        (
            "web.yml",
            "tls_server_config:\n  key_file: client.key\nbasic_auth_users: {alice: hunter2}\nrate_limit: {interval: 1s}\n".to_owned(),
        ),
        ("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n".to_owned()),
    ];
    for (name, content) in files {
        fs::write(etc.path().join(name), content).unwrap();
    }
    etc
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().copied().collect()
}

fn tokens() -> Environment {
    environment(&[("CEYMAIL_TOKEN", "cey"), ("STALWART_API_KEY", "api"), ("WHM_TOKEN", "whm")])
}

fn parse(text: &str, file: &str, environment: &Environment, etc: &Path) -> Result<Config, String> {
    let text = text.replace(ETC, &etc.display().to_string());
    let message = |problems: Problems| problems.to_string().replace(&etc.display().to_string(), ETC);
    parse_with(&SYSTEMS, &text, file, environment).map_err(message)
}

fn invalid_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(INVALID).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

#[test]
fn errors_of_invalid_files() {
    let etc = etc();
    for path in invalid_files() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let result = parse(&fs::read_to_string(&path).unwrap(), &name, &tokens(), etc.path());
        let errors = result.expect_err(&name);
        assert!(!errors.contains("hunter2"), "a secret is quoted: {errors}");
        assert_text_snapshot!(format!("config-{}", name.trim_end_matches(".yaml")), errors);
    }
}

#[track_caller]
fn good(text: &str, variables: &[(&str, &str)]) -> Config {
    let etc = etc();
    let variables: Vec<(&str, String)> =
        variables.iter().map(|(name, value)| (*name, value.replace(ETC, &etc.path().display().to_string()))).collect();
    parse(text, "postmeter.yaml", &variables.into_iter().collect(), etc.path()).unwrap()
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn an_endpoint_that_is_open_to_a_network_is_a_warning() {
    const OPEN: &str = "postmeter.yaml:2: export.prometheus.listen: every client that can reach 0.0.0.0:9464 can read it; set export.prometheus.auth, or listen on localhost";
    const PLAIN: &str = "postmeter.yaml:2: export.prometheus.listen: tokens and passwords are sent over the network without encryption; set export.prometheus.tls";
    let basic = "auth: {basic: {alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}}";
    let tls = "tls: {cert_file: /etc/postmeter/client.pem, key_file: /etc/postmeter/client.key";
    for (listen, keys, expected) in [
        ("localhost:9464", "", vec![]),
        ("127.3.2.1:9464", "", vec![]),
        ("'[::1]:9464'", "", vec![]),
        ("0.0.0.0:9464", "", vec![OPEN]),
        ("0.0.0.0:9464", "rate_limit: {per_minute: 12}", vec![OPEN]),
        ("0.0.0.0:9464", basic, vec![PLAIN]),
        ("0.0.0.0:9464", "auth: {trusted: [10.0.0.0/8]}", vec![]),
        ("0.0.0.0:9464", &format!("{tls}}}"), vec![OPEN]),
        ("0.0.0.0:9464", &format!("{tls}}}, {basic}"), vec![]),
        ("0.0.0.0:9464", &format!("{tls}, client_ca_file: /etc/postmeter/ca.pem, client_auth_type: RequireAndVerifyClientCert}}"), vec![]),
        ("localhost:9464", basic, vec![]),
    ] {
        let config = good(&format!("{MAIL}export: {{prometheus: {{listen: {listen}, {keys}}}}}\n"), &[]);
        assert_eq!(warnings(&config), expected, "{listen} {keys}");
    }
    for (listen, expected) in [("'h:1'", "h:1"), ("'[2001:db8::1]:1'", "[2001:db8::1]:1")] {
        let config = good(&format!("{MAIL}export: {{prometheus: {{listen: {listen}}}}}\n"), &[]);
        assert!(warnings(&config)[0].contains(&format!("every client that can reach {expected} ")), "{:?}", warnings(&config));
    }
    let config = good(MAIL, &[("OTEL_EXPORTER_PROMETHEUS_HOST", "0.0.0.0")]);
    assert!(warnings(&config)[0].starts_with("OTEL_EXPORTER_PROMETHEUS_HOST: every client"), "{:?}", warnings(&config));
}

#[test]
fn a_delivery_log_needs_a_url_for_logs() {
    let file = "state_dir: /var/lib/postmeter\ntargets:\n  - {name: b, system: cpanel, url: \"https://b.example.com:2087\", username: root, \
                token: x, parts: {messages: {}}}\nexport: {otlp: {protocol: http/protobuf}}\n";
    let parsed =
        |endpoint| parse(file, "postmeter.yaml", &environment(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint)]), Path::new(ETC));
    let problem = parsed("https://collector.example.com/ingest").unwrap_err();
    let expected = "postmeter.yaml:3: targets[0].parts.messages: needs an OTLP endpoint that ends in /v1/metrics: records are sent to \
                    /v1/logs next to it";
    assert_eq!(problem, expected);
    let otlp = parsed("https://collector.example.com/v1/metrics").unwrap().export.otlp.unwrap();
    assert_eq!(otlp.logs_receiver().as_deref(), Some("https://collector.example.com/v1/logs"));
}

#[test]
fn a_file_is_loaded_or_the_error_names_it() {
    let etc = etc();
    let path = etc.path().join("postmeter.yaml");
    let error = |path: &Path| load(path, &tokens()).unwrap_err().to_string();
    assert_eq!(
        error(&path),
        format!(
            "cannot read {}: No such file or directory (os error 2); write it with `postmeter init`, or use --config to name another file",
            path.display()
        )
    );
    fs::write(&path, "#".repeat(4 * 1024 * 1024 + 1)).unwrap();
    assert_eq!(error(&path), format!("{}: exceeds the limit of 4194304 bytes", path.display()));
    fs::write(&path, [0xff]).unwrap();
    assert_eq!(error(&path), format!("{}: is not UTF-8 text", path.display()));
    fs::write(&path, "targets: [{name: a, system: ceymail, url: 'https://a.example.com', token: x}]").unwrap();
    assert_eq!(load(&path, &tokens()).unwrap().targets.len(), 1);
    let targets: Vec<String> =
        (0..10_001).map(|i| format!("{{name: t{i}, system: ceymail, url: 'https://a.example.com', token: x}}")).collect();
    fs::write(&path, format!("targets: [{}]", targets.join(", "))).unwrap();
    assert_eq!(error(&path), format!("{}:1: targets: 10001 targets exceed the limit of 10000; run several instances", path.display()));
}

#[test]
fn the_largest_number_of_targets_may_have_many_keys() {
    let keys =
        "min_interval: 30s, timeout: 5s, backoff_max: 1m, headers: {X-Scope: mail, X-Site: one}, resource: {site: a, rack: b, team: c}";
    let target = |n: usize| format!("{{name: t{n}, system: ceymail, url: 'https://a.example.com:{}', token: x, {keys}}}", n + 1000);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("targets:\n{}", (0..10_000).map(|n| format!("  - {}\n", target(n))).collect::<String>())).unwrap();
    let config = load(file.path(), &tokens()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.targets.len(), 10_000);
}

#[test]
fn the_endpoint_of_logs_is_derived_from_that_of_metrics() {
    for (metrics, logs) in [
        ("https://a.example.com/v1/metrics", Some("https://a.example.com/v1/logs")),
        ("https://a.example.com/otlp/v1/metrics?key=x", Some("https://a.example.com/otlp/v1/logs?key=x")),
        ("https://a.example.com/", None),
        ("https://a.example.com/?then=/v1/metrics", None),
    ] {
        assert_eq!(Otlp::to(metrics).logs_endpoint().as_deref(), logs, "{metrics}");
    }
}

/// The reference file has every key. Those that exclude another one, and those that the effective configuration has in another form, are
/// not in it: files of secrets are masked secrets, `defaults` are keys of targets, and certificates inline exclude those in files.
#[test]
fn the_effective_configuration_has_every_key_and_no_secret() {
    let (etc, environment) = (etc(), tokens());
    let reference = std::fs::read_to_string("otel-config/postmeter.yaml").unwrap();
    let config = parse(&reference, "postmeter.yaml", &environment, etc.path()).unwrap_or_else(|error| panic!("{error}"));
    let text = effective_yaml(&config, &config.targets).replace(&etc.path().display().to_string(), ETC);
    for secret in ["s3cret", "whm\n", "api\n", "79da73f0", "$2y$", "collect[]=cpu", "X-Site: a"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let absent = [
        "defaults",
        "password_file",
        "token_file",
        "signing_key_file",
        "log_files",
        "path",
        "web_config_file",
        "sliding",
        "cert",
        "key",
        "client_ca",
    ];
    let mut keys = Vec::new();
    super::schema::names(postmeter::config::schema::FILE, &mut keys);
    for key in keys {
        let is_shown = text.lines().any(|line| line.trim_start_matches([' ', '-']).starts_with(&format!("{key}:")));
        assert_eq!(is_shown, !absent.contains(&key), "{key}: {text}");
    }
}

/// Without the hashes of credentials, which are masked, the effective configuration is a configuration with the same effect.
#[test]
fn the_effective_configuration_can_be_read_back() {
    let (etc, environment) = (etc(), tokens());
    let reference = std::fs::read_to_string("otel-config/postmeter.yaml").unwrap();
    let (before, auth) = reference.split_once("    auth:\n").unwrap();
    let (_, after) = auth.split_once("      open: [/-/healthy]").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let mut text = format!("{before}{after}");
    for _ in 0..2 {
        let config = parse(&text, "postmeter.yaml", &environment, etc.path()).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let effective = effective_yaml(&config, &config.targets).replace(&etc.path().display().to_string(), ETC);
        let again = parse(&effective, "postmeter.yaml", &environment, etc.path()).unwrap_or_else(|error| panic!("{error}\n{effective}"));
        assert_eq!(effective_yaml(&again, &again.targets).replace(&etc.path().display().to_string(), ETC), effective);
        text = effective;
    }
    // The environment and the defaults of keys are part of it.
    let small = parse(
        MAIL,
        "postmeter.yaml",
        &self::environment(&[("OTEL_LOG_LEVEL", "debug"), ("OTEL_EXPORTER_PROMETHEUS_PORT", "9999")]),
        etc.path(),
    );
    let small = small.unwrap();
    let text = effective_yaml(&small, &small.targets);
    for line in ["  log_level: debug\n", "    listen: \"localhost:9999\"\n", "    backoff_max: 2m\n", "  otlp: false\n"] {
        assert!(text.contains(line), "{line}{text}");
    }
}
