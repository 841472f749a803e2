//! The configuration: the reference file, invalid files with snapshots of their errors, and the environment.
#![allow(clippy::unwrap_used)]

mod files;
mod systems;

use crate::assert_text_snapshot;
use postmeter::config::{
    ClientAuth, CommandLineTarget, Compression, Config, Environment, LogFormat, LogLevel, Otlp, Problems, Prometheus, Protocol, RateLimit,
    Spool, Temporality, Window, command_line_target_with, load, parse_with,
};
use postmeter::model::Field;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
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
    parse_with(SYSTEMS, &text, file, environment).map_err(message)
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

/// Loads the reference file.
fn reference() -> (TempDir, Config) {
    let etc = etc();
    let text = fs::read_to_string("otel-config/postmeter.yaml").unwrap();
    let config = parse(&text, "postmeter.yaml", &tokens(), etc.path()).unwrap();
    (etc, config)
}

#[test]
fn the_reference_file_is_decoded() {
    let (_etc, config) = reference();
    assert_eq!(warnings(&config), Vec::<String>::new());
    let names: Vec<_> = config.targets.iter().map(|target| (target.name.as_str(), target.source.name)).collect();
    let expected = [
        ("cey", "ceymail"),
        ("mta1", "kumomta"),
        ("mail1", "stalwart"),
        ("ee", "emailengine"),
        ("whm1", "cpanel"),
        ("node1", "prometheus"),
    ];
    assert_eq!(names, expected);

    let [cey, mta1, mail1, ee, whm1, node1] = &config.targets[..] else { panic!() };
    assert_eq!(cey.url.as_str(), "https://cey.example.com/");
    assert_eq!(cey.credentials.token.as_ref().unwrap().read().unwrap(), "cey");
    assert_eq!((cey.timeout, cey.min_interval), (Duration::from_secs(10), Duration::from_secs(15)));
    let messages = whm1.delivery_log.as_ref().unwrap();
    assert_eq!((messages.interval, messages.since), (Duration::from_secs(60), Duration::from_secs(3600)));
    assert_eq!((messages.overlap, messages.include.as_slice()), (Duration::from_secs(600), &[Field::Domain, Field::DeliveryDomain][..]));
    assert_eq!(messages.part.credentials.username.as_deref(), Some("root"));
    assert!(whm1.parts.iter().all(|part| part.part.name != "messages"), "the delivery log is not polled");
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/var/lib/postmeter")));
    assert!(cey.delivery_log.is_none());
    assert_eq!(mta1.parts.iter().map(|part| part.part.name).collect::<Vec<_>>(), ["metrics", "machine-info"]);
    assert_eq!((mta1.format.as_deref(), mta1.body_bytes_max), (Some("text"), Some(64 * 1024 * 1024)));
    assert!(
        mta1.passthrough.includes("ready_count")
            && !mta1.passthrough.includes("scheduled_by_domain")
            && !mta1.passthrough.includes("memory_usage")
    );
    assert_eq!((mta1.passthrough.series_max, mta1.passthrough.min_value("scheduled_count")), (500_000, Some(10.0)));
    assert_eq!((mta1.passthrough.prefix.as_str(), mail1.passthrough.includes("memory_usage")), ("kumomta_", true));
    assert_eq!(mta1.detail.as_ref().map(|detail| (detail.by.key, detail.top)), Some(("mail.destination.domain", 20)));
    assert_eq!(mail1.credentials.username.as_deref(), Some("prometheus"));
    assert_eq!(mail1.parts[0].credentials.password.as_ref().unwrap().read().unwrap(), "s3cret");
    let queue = &mail1.parts[1].credentials;
    assert_eq!((queue.token.as_ref().unwrap().read().unwrap().as_str(), queue.username.is_none()), ("api", true));
    assert_eq!(ee.credentials.token.as_ref().unwrap().read().unwrap(), "s3cret");
    assert_eq!(node1.url.as_str(), "http://192.0.2.8:9100/metrics?collect[]=cpu");
    assert_eq!(whm1.parts.len(), 3);
    assert_eq!(whm1.parts[2].credentials.username.as_deref(), Some("root"));
    assert_eq!((whm1.timeout, whm1.min_interval), (Duration::from_secs(30), Duration::from_secs(60)));
    assert_eq!((whm1.backoff_max, cey.backoff_max), (Duration::from_secs(120), Duration::from_secs(120)));
    assert_eq!(whm1.window, Window::Today(jiff::tz::TimeZone::get("Europe/Berlin").unwrap()));
    assert!(whm1.tls.ca_file.is_some() && whm1.tls.cert_file.is_some() && whm1.tls.key_file.is_some());
    assert_eq!(whm1.tls.server_name.as_deref(), Some("host.example.com"));
    assert_eq!(whm1.headers[0].0, "X-Site");
    assert_eq!(whm1.proxy.as_deref(), Some("http://192.0.2.9:3128"));
    assert_eq!(whm1.resource, [("deployment.environment.name".to_owned(), "production".to_owned())]);
}

#[test]
fn the_reference_file_is_valid_for_the_real_systems() {
    let etc = etc();
    let path = etc.path().join("postmeter.yaml");
    let text = fs::read_to_string("otel-config/postmeter.yaml").unwrap();
    fs::write(&path, text.replace(ETC, &etc.path().display().to_string())).unwrap();
    assert_eq!(warnings(&load(&path, &tokens()).unwrap()), Vec::<String>::new());
}

#[test]
fn the_reference_file_shows_authentication() {
    let (_etc, config) = reference();
    let prometheus = config.export.prometheus.unwrap();
    let [token] = &prometheus.auth.tokens[..] else { panic!() };
    assert_eq!((token.name.as_str(), token.expires.unwrap().to_string().as_str()), ("prometheus", "2030-01-31T00:00:00Z"));
    assert_eq!(prometheus.auth.basic.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["alice"]);
    assert_eq!(prometheus.auth.trusted.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.7/32", "10.0.0.0/8", "fd00::/8"]);
    assert_eq!(prometheus.auth.open, ["/-/healthy"]);
    assert_eq!(prometheus.rate_limit, Some(RateLimit { per_minute: 12, burst: 4 }));
    let tls = prometheus.tls.unwrap();
    assert_eq!((tls.client_auth, tls.client_allowed_sans), (ClientAuth::RequireAndVerify, vec!["prometheus.example.com".to_owned()]));
    assert_eq!(prometheus.web_config, None);
}

#[test]
fn an_endpoint_that_is_open_to_a_network_is_a_warning() {
    const OPEN: &str = "postmeter.yaml:2: export.prometheus.listen: everybody who can reach 0.0.0.0:9464 can read it; set export.prometheus.auth, or listen on localhost";
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
        assert!(warnings(&config)[0].contains(&format!("everybody who can reach {expected} ")), "{:?}", warnings(&config));
    }
    let config = good(MAIL, &[("OTEL_EXPORTER_PROMETHEUS_HOST", "0.0.0.0")]);
    assert!(warnings(&config)[0].starts_with("OTEL_EXPORTER_PROMETHEUS_HOST: everybody"), "{:?}", warnings(&config));
}

#[test]
fn the_reference_file_shows_the_defaults() {
    let (_etc, mut shown) = reference();
    // The reference shows settings that are absent by default.
    let listen = shown.export.prometheus.take().unwrap().listen;
    shown.export.prometheus = Some(Prometheus::open(listen));
    let config = good(&format!("{MAIL}export: {{otlp: {{}}}}\ntelemetry: {{otlp: {{}}}}\n"), &[]);
    let queue = &mut shown.export.otlp.as_mut().unwrap().queue;
    assert_eq!(queue.retry.give_up_after.take(), Some(Duration::from_secs(24 * 3600)));
    assert_eq!(queue.spool.take(), Some(Spool { dir: "/var/lib/postmeter/spool".into(), max_bytes: 1 << 30 }));
    assert_eq!(shown.reload, config.reload);
    assert_eq!((shown.targets_files.is_empty(), config.targets_files.is_empty()), (false, true));
    assert_eq!(format!("{:?}", shown.export), format!("{:?}", config.export));
    assert_eq!(format!("{:?}", shown.telemetry), format!("{:?}", config.telemetry));
}

#[test]
fn the_contract_file_is_valid() {
    let text = fs::read_to_string("tests/fixtures/config/contract.yaml").unwrap();
    let config = good(&text, &[("STALWART_API_KEY", "a"), ("CEYMAIL_TOKEN", "b"), ("WHM_TOKEN", "c")]);
    assert_eq!(config.targets.len(), 5);
    let otlp = config.export.otlp.as_ref().unwrap();
    assert_eq!((otlp.endpoint.as_str(), otlp.compression), ("http://localhost:4317", Compression::Gzip));
    assert_eq!(
        warnings(&config),
        ["postmeter.yaml:10: targets[2].url: credentials are sent without encryption; use https if the server supports it"]
    );
}

#[test]
fn every_target_is_in_one_shard_of_the_file() {
    let targets: Vec<_> = (0..20).map(|n| format!("{{name: mta{n}, system: kumomta, url: 'https://mta{n}.example.com'}}")).collect();
    let file = format!("targets: [{}]\nshard: '${{env:ORDINAL}}/3'\n", targets.join(", "));
    let names = |config: Config| config.targets.into_iter().map(|target| target.name).collect::<Vec<_>>();
    let mut sharded = Vec::new();
    for ordinal in ["0", "1", "2"] {
        let shard = names(good(&file, &[("ORDINAL", ordinal)]).sharded(None));
        assert!(shard.len() < 20 && !shard.is_empty(), "{shard:?}");
        sharded.extend(shard);
    }
    let all = names(good(&file, &[("ORDINAL", "0")]));
    sharded.sort();
    assert_eq!((sharded.len(), sharded.iter().all(|name| all.contains(name))), (20, true));
    // The command line overrides the file.
    let flag = names(good(&file, &[("ORDINAL", "0")]).sharded("0/1".parse().ok()));
    assert_eq!(flag, all);
}

#[test]
fn the_configurations_of_the_stack_are_valid() {
    let read = |name: &str| fs::read_to_string(format!("otel-config/{name}")).unwrap();
    let demo = good(&read("demo.yaml"), &[]);
    assert_eq!(demo.targets.len(), 5);
    // The package's file contains no targets until an operator adds some.
    let package = read("systemd/postmeter.yaml");
    let etc = etc();
    let error = parse(&package, "postmeter.yaml", &tokens(), etc.path()).unwrap_err();
    assert!(error.contains("targets: there are no targets to poll") && error.lines().count() == 1, "{error}");
    let with_targets = package.replace("  # - ", "  - ");
    let variables = ["STALWART_PASSWORD", "EE_TOKEN", "CEYMAIL_TOKEN", "WHM_TOKEN"].map(|name| (name, "x"));
    assert_eq!(good(&with_targets, &variables).targets.len(), 5);
}

#[test]
fn absent_keys_have_the_defaults_of_the_mail_system() {
    let config = good("targets: [{name: a, system: cpanel, url: 'https://a.example.com:2087', username: root, token: 012}]\n", &[]);
    let target = &config.targets[0];
    assert_eq!((target.timeout, target.min_interval), (Duration::from_secs(30), Duration::from_secs(60)));
    assert_eq!(target.window, Window::Today(jiff::tz::TimeZone::UTC));
    assert_eq!(target.parts.iter().map(|part| part.part.name).collect::<Vec<_>>(), ["emailtrack_user_stats"]);
    assert_eq!(target.credentials.token.as_ref().unwrap().read().unwrap(), "012");
    assert!(target.format.is_none() && target.detail.is_none() && target.proxy.is_none() && target.tls.is_default());
    assert_eq!((config.telemetry.log_format, config.telemetry.log_level), (LogFormat::Text, LogLevel::Info));
    assert_eq!(config.export.prometheus.unwrap().listen, "localhost:9464");
    assert!(config.export.otlp.is_none() && config.telemetry.otlp.is_none());
    assert_eq!(config.telemetry.resource, [("service.name".to_owned(), "postmeter".to_owned())]);
}

#[test]
fn a_targets_own_key_replaces_the_default_as_a_whole() {
    let config = good(
        "defaults:
  token: common
  headers: {X-A: a}
  window: {sliding: 1h}
  format: text
  detail: {by: domain}
  parts: {queue: {}, servicestatus: {}}
targets:
  - {name: a, system: ceymail, url: 'https://a.example.com'}
  - {name: b, system: ceymail, url: 'https://b.example.com', token_file: /etc/postmeter/secret, headers: {X-B: b}}
  - {name: c, system: cpanel, url: 'https://c.example.com', username: root}
  - {name: d, system: kumomta, url: 'https://d.example.com', detail: {by: tenant, top: 3}}
  - {name: e, system: stalwart, url: 'https://e.example.com', username: x, password: y, parts: {}}
",
        &[],
    );
    let token = |i: usize| config.targets[i].credentials.token.as_ref().unwrap().read();
    let header = |i: usize| config.targets[i].headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    let parts = |i: usize| config.targets[i].parts.iter().map(|part| part.part.name).collect::<Vec<_>>();
    assert_eq!(token(0).unwrap(), "common");
    assert!(config.targets[1].credentials.token.as_ref().unwrap().may_change(), "the token of its own file");
    assert_eq!((header(0), header(1)), (vec!["X-A"], vec!["X-B"]));
    assert_eq!(config.targets[2].window, Window::Sliding(Duration::from_secs(3600)));
    assert_eq!((parts(0), parts(2), parts(4)), (vec!["metrics"], vec!["emailtrack_user_stats", "servicestatus"], vec!["metrics"]));
    assert_eq!((config.targets[0].format.as_deref(), config.targets[3].format.as_deref()), (None, Some("text")));
    assert_eq!(config.targets[3].detail.as_ref().map(|detail| detail.top), Some(3));
    assert_eq!(warnings(&config), Vec::<String>::new());
}

#[track_caller]
fn url_of(system: &str, url: &str, expected: &str) {
    let config = good(&format!("targets: [{{name: a, system: {system}, url: '{url}'}}]\n"), &[]);
    assert_eq!(config.targets[0].url.as_str(), expected);
}

#[test]
fn a_url_that_is_used_unchanged_has_a_default_path() {
    url_of("kumomta", "https://a.example.com", "https://a.example.com/");
    url_of("prometheus", "https://a.example.com", "https://a.example.com/metrics");
    url_of("prometheus", "https://a.example.com:9100/", "https://a.example.com:9100/metrics");
    url_of("prometheus", "https://a.example.com/?collect[]=x", "https://a.example.com/metrics?collect[]=x");
    url_of("prometheus", "https://a.example.com/m/?collect[]=x", "https://a.example.com/m/?collect[]=x");
}

#[test]
fn the_file_selects_native_metrics_to_forward() {
    let config = good(
        r"defaults: {relay: {exclude: 'go_.*'}}
targets:
  - {name: a, system: kumomta, url: 'https://a.example.com'}
  - {name: b, system: kumomta, url: 'https://b.example.com', relay: {include: ['ready|scheduled', 'total_\w+'], exclude: [total_fail], min_value: {ready: 2.5}, series_max: 5000000, prefix: 'kumo:'}}
  - {name: c, system: kumomta, url: 'https://c.example.com', relay: false}
  - {name: d, system: kumomta, url: 'https://d.example.com', relay: {enabled: false, include: a}}
  - {name: e, system: kumomta, url: 'https://e.example.com', relay: {}}
",
        &[],
    );
    let passthrough = |i: usize| &config.targets[i].passthrough;
    let includes = |i: usize, family: &str| passthrough(i).includes(family);
    assert!(includes(0, "ready") && !includes(0, "go_threads"), "inherited from defaults");
    assert_eq!((passthrough(0).series_max, passthrough(0).prefix.as_str()), (2_000_000, ""));
    for (family, expected) in
        [("ready", true), ("scheduled", true), ("ready_full", false), ("rescheduled", false), ("total_in", true), ("total_fail", false)]
    {
        assert_eq!(includes(1, family), expected, "{family}");
    }
    assert_eq!((passthrough(1).min_value("ready"), passthrough(1).min_value("scheduled")), (Some(2.5), None));
    assert_eq!((passthrough(1).series_max, passthrough(1).prefix.as_str()), (5_000_000, "kumo:"));
    assert!(!includes(2, "a") && !includes(3, "a"));
    assert!(includes(4, "go_threads"), "the target's own relay replaces the default");
}

#[test]
fn a_required_part_may_have_credentials_of_its_own() {
    let config = good(
        "targets: [{name: a, system: stalwart, url: 'https://a.example.com', token: t, parts: {queue: {}, metrics: {username: x, password: y}}}]",
        &[],
    );
    let names: Vec<_> = config.targets[0].parts.iter().map(|part| (part.part.name, part.credentials.token.is_some())).collect();
    assert_eq!(names, [("metrics", false), ("queue", true)]);
}

#[test]
fn references_are_resolved() {
    let text = "targets: [{name: '${env:N:-m}', system: kumomta, url: 'https://${env:HOST}/$$x', timeout: '${env:T}', headers: {A: '$$${env:HOST}'}}]";
    let config = good(text, &[("HOST", "a.example.com"), ("T", "3s")]);
    let target = &config.targets[0];
    assert_eq!((target.name.as_str(), target.url.as_str()), ("m", "https://a.example.com/$x"));
    assert_eq!((target.timeout, target.headers[0].1.read().unwrap().as_str()), (Duration::from_secs(3), "$a.example.com"));
}

#[test]
fn a_secret_is_read_again_and_never_printed() {
    let etc = etc();
    let text = "targets: [{name: a, system: ceymail, url: 'https://a.example.com', token: 'x${file:/etc/postmeter/secret}', headers: {A: hunter2}}]";
    let config = parse(text, "postmeter.yaml", &tokens(), etc.path()).unwrap();
    let token = config.targets[0].credentials.token.clone().unwrap();
    assert_eq!(token.read().unwrap(), "xs3cret");
    fs::write(etc.path().join("secret"), "rotated\r\n").unwrap();
    assert_eq!(token.read().unwrap(), "xrotated");
    fs::remove_file(etc.path().join("secret")).unwrap();
    assert!(token.read().unwrap_err().to_string().starts_with("cannot read "));
    let printed = format!("{config:?} {token} {:?}", tokens());
    assert!(!printed.contains("hunter2") && !printed.contains("s3cret") && printed.contains("***"), "{printed}");
}

#[track_caller]
fn warns(targets: &str, expected: &[&str]) {
    assert_eq!(warnings(&good(&format!("targets:\n  - {targets}\n"), &[])), expected);
}

#[test]
fn settings_that_are_probably_not_intended_are_warnings() {
    warns("{name: a, system: ceymail, url: 'http://localhost:80', token: x}", &[]);
    warns("{name: a, system: ceymail, url: 'http://[::1]:80', token: x}", &[]);
    warns("{name: a, system: kumomta, url: 'http://192.0.2.1'}", &[]);
    warns(
        "{name: a, system: ceymail, url: 'http://192.0.2.1', token: x}",
        &["postmeter.yaml:2: targets[0].url: credentials are sent without encryption; use https if the server supports it"],
    );
    warns(
        "{name: a, system: ceymail, url: 'https://192.0.2.1', token: x, tls: {insecure_skip_verify: true}}",
        &[
            "postmeter.yaml:2: targets[0].tls.insecure_skip_verify: the server's certificate is not verified: a man in the middle can read the credentials",
        ],
    );
    warns(
        "{name: a, system: kumomta, url: 'http://192.0.2.1', tls: {server_name: b}}",
        &["postmeter.yaml:2: targets[0]: tls has no effect because the url is http"],
    );
    warns(
        "{name: a, system: ceymail, url: 'https://192.0.2.1', token: x, min_interval: 2s}",
        &[
            "postmeter.yaml:2: targets[0].min_interval: too short: ceymail allows 12 requests per minute, and a poll sends 1; use at least 6s",
        ],
    );
    // A reading is due at nine tenths of its interval.
    warns(
        "{name: a, system: ceymail, url: 'https://192.0.2.1', token: x, min_interval: 5s}",
        &[
            "postmeter.yaml:2: targets[0].min_interval: too short: ceymail allows 12 requests per minute, and a poll sends 1; use at least 6s",
        ],
    );
    warns("{name: a, system: ceymail, url: 'https://192.0.2.1', token: x, min_interval: 6s}", &[]);
    warns(
        "{name: a, system: cpanel, url: 'https://192.0.2.1', username: root, token: x, password: y}",
        &["postmeter.yaml:2: targets[0]: password is not used by cpanel"],
    );
}

#[track_caller]
fn check_exporters(file: &str, variables: &[(&str, &str)], otlp: Option<&str>, prometheus: Option<&str>) {
    let config = good(&format!("{MAIL}{file}"), variables);
    assert_eq!(config.export.otlp.map(|otlp| otlp.endpoint).as_deref(), otlp, "otlp");
    assert_eq!(config.export.prometheus.map(|prometheus| prometheus.listen).as_deref(), prometheus, "prometheus");
}

#[test]
fn the_environment_enables_exporters_that_are_absent_from_the_file() {
    const GRPC: Option<&str> = Some("http://localhost:4317");
    const PULL: Option<&str> = Some("localhost:9464");
    const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    check_exporters("", &[], None, PULL);
    check_exporters("", &[(EXPORTER, "")], None, PULL);
    check_exporters("", &[(EXPORTER, "otlp")], GRPC, None);
    check_exporters("", &[(EXPORTER, "prometheus")], None, PULL);
    check_exporters("", &[(EXPORTER, "prometheus, otlp")], GRPC, PULL);
    check_exporters("", &[(EXPORTER, "none")], None, None);
    check_exporters("", &[(EXPORTER, "console")], None, PULL);
    check_exporters("", &[(ENDPOINT, "http://c:4317")], Some("http://c:4317"), PULL);
    check_exporters("", &[(ENDPOINT, "http://c:4317"), (EXPORTER, "prometheus")], None, PULL);
    check_exporters("", &[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m"), (ENDPOINT, "http://c")], Some("http://m"), PULL);
    check_exporters("export: {otlp: {endpoint: 'http://f'}}", &[(ENDPOINT, "http://c"), (EXPORTER, "none")], Some("http://f"), None);
    check_exporters("export: {otlp: }", &[(ENDPOINT, "http://c:4317")], Some("http://c:4317"), PULL);
    check_exporters("export: {otlp: false, prometheus: false}", &[(ENDPOINT, "http://c:4317")], None, None);
    check_exporters("export: {prometheus: {}}", &[(EXPORTER, "otlp"), ("OTEL_EXPORTER_PROMETHEUS_PORT", "1")], GRPC, Some("localhost:1"));
    check_exporters("", &[("OTEL_EXPORTER_PROMETHEUS_HOST", "::"), ("OTEL_EXPORTER_PROMETHEUS_PORT", "x")], None, Some("[::]:9464"));
    check_exporters("export: {prometheus: {listen: 'h:2'}}", &[("OTEL_EXPORTER_PROMETHEUS_HOST", "i")], None, Some("h:2"));
    check_exporters("export: {otlp: {}, prometheus: {}}", &[("OTEL_SDK_DISABLED", "TRUE")], None, None);
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

#[track_caller]
fn check_endpoint(file: &str, variables: &[(&str, &str)], expected: &str) {
    let config = good(&format!("{MAIL}export: {{otlp: {{{file}}}}}"), variables);
    assert_eq!(config.export.otlp.unwrap().endpoint, expected);
}

#[test]
fn an_endpoint_follows_the_specification() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    const HTTP: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    check_endpoint("", &[HTTP], "http://localhost:4318/v1/metrics");
    check_endpoint("", &[HTTP, (ENDPOINT, "http://c:4318")], "http://c:4318/v1/metrics");
    check_endpoint("", &[HTTP, (ENDPOINT, "http://c:4318/otlp/")], "http://c:4318/otlp/v1/metrics");
    check_endpoint("", &[HTTP, (METRICS, "http://c:4318/otlp")], "http://c:4318/otlp");
    check_endpoint("", &[HTTP, (METRICS, "http://c:4318")], "http://c:4318");
    check_endpoint("protocol: http/protobuf, endpoint: 'http://c:4318'", &[], "http://c:4318/v1/metrics");
    // The file's endpoint is for all signals, as OTEL_EXPORTER_OTLP_ENDPOINT is.
    for (written, used) in [
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("http://c:4318/x", "http://c:4318/x/v1/metrics"),
        ("https://c/otlp", "https://c/otlp/v1/metrics"),
        ("https://c/otlp/", "https://c/otlp/v1/metrics"),
        ("https://c/otlp?key=x", "https://c/otlp/v1/metrics?key=x"),
        ("https://c/otlp/v1/metrics", "https://c/otlp/v1/metrics"),
        ("https://c/otlp/v1/metrics/", "https://c/otlp/v1/metrics"),
        ("https://c/v1/metrics?key=x", "https://c/v1/metrics?key=x"),
        ("https://c/av1/metrics", "https://c/av1/metrics/v1/metrics"),
    ] {
        check_endpoint(&format!("protocol: http/protobuf, endpoint: '{written}'"), &[], used);
        check_endpoint("", &[HTTP, (ENDPOINT, written)], used);
        check_endpoint("", &[HTTP, (METRICS, written)], written);
    }
    check_endpoint("endpoint: 'https://c/otlp'", &[], "https://c/otlp");
    check_endpoint("endpoint: 'c:4317'", &[], "https://c:4317");
    check_endpoint("endpoint: 'c:4317'", &[("OTEL_EXPORTER_OTLP_INSECURE", "true")], "http://c:4317");
    check_endpoint(
        "",
        &[(ENDPOINT, "c:4317"), ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "true"), ("OTEL_EXPORTER_OTLP_INSECURE", "false")],
        "http://c:4317",
    );
    check_endpoint("endpoint: 'https://c:4317'", &[("OTEL_EXPORTER_OTLP_INSECURE", "true")], "https://c:4317");
}

#[test]
fn the_environment_supplies_keys_that_are_absent_from_the_file() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x = y"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/postmeter/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/etc/postmeter/client.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/postmeter/client.key"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ("OTEL_LOG_LEVEL", "DEBUG"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,team=mail%2Cops"),
        ("OTEL_SERVICE_NAME", "pm"),
    ];
    let config = good(&format!("{MAIL}export: {{otlp: {{}}}}\ntelemetry: {{otlp: {{}}}}"), &variables);
    let otlp = config.export.otlp.as_ref().unwrap();
    let headers: Vec<_> = otlp.headers.iter().map(|(name, value)| (name.as_str(), value.read().unwrap())).collect();
    assert_eq!(headers, [("api-key", "a b".to_owned()), ("x", "y".to_owned())]);
    assert_eq!((otlp.timeout, otlp.interval), (Duration::from_millis(3500), Duration::from_secs(5)));
    assert_eq!((otlp.compression, otlp.protocol), (Compression::Gzip, Protocol::Grpc));
    assert!(otlp.tls.ca_file.is_some() && otlp.tls.cert_file.is_some() && otlp.tls.key_file.is_some());
    let telemetry = config.telemetry.otlp.as_ref().unwrap();
    assert_eq!((telemetry.timeout, telemetry.interval), (Duration::from_millis(2500), Duration::from_secs(5)));
    assert!(telemetry.traces && telemetry.metrics && telemetry.logs);
    assert_eq!(config.telemetry.log_level, LogLevel::Debug);
    let resource: Vec<_> = config.telemetry.resource.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(resource, [("team", "mail,ops"), ("service.name", "pm")]);
    assert_eq!(warnings(&config), Vec::<String>::new());

    let file = "export: {otlp: {headers: {}, timeout: 1s, compression: none, interval: 7s}}\ntelemetry: {log_level: warn}";
    let config = good(&format!("{MAIL}{file}"), &variables);
    let otlp = config.export.otlp.as_ref().unwrap();
    assert_eq!((otlp.timeout, otlp.interval), (Duration::from_secs(1), Duration::from_secs(7)));
    assert!(otlp.headers.is_empty() && otlp.compression == Compression::None && config.telemetry.log_level == LogLevel::Warn);
}

#[test]
fn the_temporality_is_set_by_a_variable_or_a_key() {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for (file, variable, expected) in [
        ("otlp: {}", "", Temporality::Cumulative),
        ("otlp: {}", "Delta", Temporality::Delta),
        ("otlp: {}", "LOWMEMORY", Temporality::LowMemory),
        ("otlp: {temporality: cumulative}", "delta", Temporality::Cumulative),
        ("otlp: {temporality: lowmemory}", "", Temporality::LowMemory),
    ] {
        let config = good(&format!("{MAIL}export: {{{file}}}"), &[(VARIABLE, variable)]);
        assert_eq!(config.export.otlp.unwrap().temporality, expected, "{file} {variable}");
    }
    check_ignored(VARIABLE, "deltas", "unknown value deltas; did you mean delta?; the variable is ignored");
}

#[track_caller]
fn check_ignored(name: &str, value: &str, expected: &str) {
    let config = good(&format!("{MAIL}export: {{otlp: {{}}}}"), &[(name, value)]);
    assert_eq!(warnings(&config), [format!("{name}: {expected}")]);
    let defaults = good(&format!("{MAIL}export: {{otlp: {{}}}}"), &[]);
    assert_eq!(format!("{:?}{:?}", config.export, config.telemetry), format!("{:?}{:?}", defaults.export, defaults.telemetry));
}

#[test]
fn an_invalid_variable_is_ignored_with_a_warning() {
    check_ignored("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "\"10s\" is not a number of milliseconds; the variable is ignored");
    check_ignored("OTEL_METRIC_EXPORT_INTERVAL", "5", "5 milliseconds is out of range; the limits are 1s to 1h; the variable is ignored");
    check_ignored(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        "http/json",
        "unknown value http/json; expected one of: grpc, http/protobuf; the variable is ignored",
    );
    check_ignored("OTEL_EXPORTER_OTLP_COMPRESSION", "gzi", "unknown value gzi; did you mean gzip?; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "is not a valid URL: empty host; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "entry 1 is not key=value; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=%ff", "the value of c is not percent-encoded UTF-8; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=%+1", "the value of c is not percent-encoded UTF-8; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_INSECURE", "yes", "\"yes\" is neither true nor false; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_CERTIFICATE", "/none", "/none: No such file or directory (os error 2); the variable is ignored");
    check_ignored(
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "/etc/postmeter/client.pem",
        "requires OTEL_EXPORTER_OTLP_CLIENT_KEY, and vice versa; both are ignored",
    );
    check_ignored("OTEL_EXPORTER_PROMETHEUS_PORT", "94640", "\"94640\" is not a valid port; the variable is ignored");
    check_ignored("OTEL_RESOURCE_ATTRIBUTES", "a", "entry 1 is not key=value; the variable is ignored");
    check_ignored("OTEL_LOG_LEVEL", "loud", "unknown level \"loud\"; the variable is ignored");
    check_ignored("OTEL_SDK_DISABLED", "1", "\"1\" is neither true nor false; the variable is ignored");
    check_ignored("OTEL_METRICS_EXPORTER", "prometeus", "unknown exporter \"prometeus\"; did you mean prometheus?");
}

#[test]
fn a_target_is_described_by_command_line_flags() {
    let decode = |system: &str, url: &str, change: fn(&mut CommandLineTarget)| {
        let mut flags = CommandLineTarget { system: system.to_owned(), url: url.to_owned(), ..CommandLineTarget::default() };
        change(&mut flags);
        command_line_target_with(SYSTEMS, flags, &tokens()).map(|(target, _)| target).map_err(|problems| problems.to_string())
    };
    let target = decode("ceymail", "https://cey.example.com:8443", |flags| flags.token = Some("${env:CEYMAIL_TOKEN}".to_owned())).unwrap();
    assert_eq!((target.name.as_str(), target.source.name), ("cey.example.com", "ceymail"));
    assert_eq!(target.credentials.token.unwrap().read().unwrap(), "cey");
    assert_eq!(decode("kumomta", "http://[::1]:8000", |flags| flags.parts = vec!["machine-info".to_owned()]).unwrap().name, "kumomta");
    let errors = decode("kumomtaa", "example.com", |flags| {
        flags.timeout = Some("1".to_owned());
        flags.token_file = Some("/none".to_owned());
    });
    let expected = "--system: unknown mail system \"kumomtaa\"; did you mean kumomta?
--url: is not a valid URL: it must begin with http:// or https://
--token-file: cannot read /none: No such file or directory (os error 2)
--timeout: 1 has no unit; write 1s for seconds";
    assert_eq!(errors.unwrap_err(), expected);
    let errors = decode("cpanel", "https://example.com", |flags| flags.parts = vec!["queue_".to_owned()]).unwrap_err();
    assert!(errors.lines().any(|line| line == "cpanel needs username and token (or token_file)"), "{errors}");
}

#[test]
fn the_environment_configures_exports_without_a_file() {
    let config = Config::from_env(&environment(&[("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_LOG_LEVEL", "none")]));
    assert!(config.targets.is_empty() && config.export.otlp.is_some() && config.export.prometheus.is_none());
    assert_eq!((config.telemetry.log_level, config.telemetry.log_level.name()), (LogLevel::Off, "off"));
}

#[test]
fn a_file_is_loaded_or_the_error_names_it() {
    let etc = etc();
    let path = etc.path().join("postmeter.yaml");
    let error = |path: &Path| load(path, &tokens()).unwrap_err().to_string();
    assert_eq!(error(&path), format!("{}: No such file or directory (os error 2); use --config to name another file", path.display()));
    fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(error(&path), format!("{}: exceeds the limit of 1048576 bytes", path.display()));
    fs::write(&path, [0xff]).unwrap();
    assert_eq!(error(&path), format!("{}: is not UTF-8 text", path.display()));
    fs::write(&path, "targets: [{name: a, system: ceymail, url: 'https://a.example.com', token: x}]").unwrap();
    assert_eq!(load(&path, &tokens()).unwrap().targets.len(), 1);
    let targets: Vec<String> =
        (0..1001).map(|i| format!("{{name: t{i}, system: ceymail, url: 'https://a.example.com', token: x}}")).collect();
    fs::write(&path, format!("targets: [{}]", targets.join(", "))).unwrap();
    assert_eq!(error(&path), format!("{}:1: targets: 1001 targets exceed the limit of 1000; run several instances", path.display()));
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
