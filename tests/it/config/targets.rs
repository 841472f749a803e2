//! Keys of targets: defaults, inheritance, references, secrets and warnings.

use super::systems::SYSTEMS;
use super::{etc, good, parse, tokens, warnings};
use postmeter::config::{CommandLineTarget, Config, LogFormat, LogLevel, Window, command_line_target_with};
use std::fs;
use std::time::Duration;

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
    warns("{name: a, system: ceymail, url: 'http://192.0.2.1', token: x}", &[]);
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

#[test]
fn a_target_is_described_by_command_line_flags() {
    let decode = |system: &str, url: &str, change: fn(&mut CommandLineTarget)| {
        let mut flags = CommandLineTarget { system: system.to_owned(), url: url.to_owned(), ..CommandLineTarget::default() };
        change(&mut flags);
        command_line_target_with(&SYSTEMS, flags, &tokens()).map(|(target, _)| target).map_err(|problems| problems.to_string())
    };
    let target = decode("ceymail", "https://cey.example.com:8443", |flags| flags.token = Some("${env:CEYMAIL_TOKEN}".to_owned())).unwrap();
    assert_eq!((target.name.as_str(), target.source.name), ("cey.example.com", "ceymail"));
    assert_eq!(target.credentials.token.unwrap().read().unwrap(), "cey");
    assert_eq!(decode("kumomta", "http://[::1]:8000", |flags| flags.parts = vec!["machine-info".to_owned()]).unwrap().name, "kumomta");
    let errors = decode("kumomtaa", "example.com", |flags| {
        flags.timeout = Some("1".to_owned());
        flags.token_file = Some("/none".to_owned());
    });
    let expected = "--system: unknown mail system \"kumomtaa\"; did you mean kumomta? A file of --systems-file can define it
--url: is not a valid URL: it must begin with http:// or https://
--token-file: cannot read /none: No such file or directory (os error 2)
--timeout: 1 has no unit; write 1s for seconds";
    assert_eq!(errors.unwrap_err(), expected);
    let errors = decode("cpanel", "https://example.com", |flags| flags.parts = vec!["queue_".to_owned()]).unwrap_err();
    assert!(errors.contains("--part: cpanel has no part queue_; did you mean fetch_mail_queue?"), "{errors}");
    assert!(errors.lines().any(|line| line == "cpanel needs --username and --token (or --token-file)"), "{errors}");
}
