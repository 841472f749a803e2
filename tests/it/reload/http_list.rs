//! `targets_http` of a running service: lists that change, fail and recover, credentials and TLS of the request, and counters of a target
//! that moves to another instance.

use super::world::{ANY, SOON, World, start_server, target, value};
use super::{LISTEN, file};
use crate::support::flat::{Flat, flatten, stale};
use crate::support::program::Program;
use crate::support::{postmeter, stderr, stdout, wait_until};
use postmeter::simulate::{Options, Receiver, SimulatedServer, System, Tls};
use std::process::Command;
use std::time::Duration;

/// A server of lists, which is a simulated server with a fixed response.
async fn list_server(list: &str) -> SimulatedServer {
    let server = start_server(System::Ceymail).await;
    server.respond_with(Some((200, list.to_owned())));
    server
}

/// A list of targets at one simulated KumoMTA.
fn list(names: &[&str], kumomta: &SimulatedServer) -> String {
    let address = kumomta.addr();
    let group = |name: &&str| {
        let labels = format!(r#""__postmeter_system": "kumomta", "__postmeter_name": "{name}", "__postmeter_min_interval": "1h""#);
        format!(r#"{{"targets": ["{address}"], "labels": {{{labels}}}}}"#)
    };
    format!("[{}]", names.iter().map(group).collect::<Vec<_>>().join(","))
}

fn targets_http(server: &SimulatedServer, keys: &str) -> String {
    format!("targets_http: {{url: \"{}/targets?collector_id=pod-0\", interval: 1s{keys}}}\n", server.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_changes_fails_and_recovers_without_a_reload() {
    let kumomta = start_server(System::Kumomta).await;
    let server = list_server(&list(&["b", "a"], &kumomta)).await;
    let world =
        World::start(&format!("{}{}", file(&[target("main", &kumomta, "min_interval: 1h")]), targets_http(&server, "")), true).await;
    world.until("/targets.json", |page| page.contains("\"a\"")).await;
    assert_eq!(world.names().await, ["main", "a", "b"]);
    world.until("/metrics", |page| value(page, "mail_up{instance=\"b\"") == Some(1.0)).await;
    assert_eq!(kumomta.requests(), 3, "each once");
    let request = server.last_request().unwrap();
    assert_eq!((request.path.as_str(), request.query["collector_id"].as_str()), ("/targets", "pod-0"));
    let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("x-prometheus-refresh-interval-seconds").as_deref(), Some("1"));
    assert_eq!((header("accept").as_deref(), header("authorization")), (Some("application/json"), None));

    let failing = |page: &str| value(page, "postmeter_targets_http_failing{");
    let errors = |page: &str| value(page, "postmeter_targets_http_errors_total{").unwrap_or(0.0);
    let mut before = 0.0;
    for response in [(500, String::new()), (200, "<html>".to_owned()), (200, list(&["main"], &kumomta)), (302, String::new())] {
        server.respond_with(Some(response));
        let page = world.until("/metrics", |page| failing(page) == Some(1.0) && errors(page) > before + 1.0).await;
        before = errors(&page);
        assert_eq!(world.names().await, ["main", "a", "b"]);
    }
    world.until("/", |page| page.contains("failing</span> the list of <code>targets_http</code>")).await;
    // A reload keeps the list, too.
    assert_eq!(world.reload().await, (200, "reloaded: 3 targets: 0 added, 0 changed, 0 removed, 3 unchanged\n".to_owned()));

    server.respond_with(Some((200, list(&["c", "b"], &kumomta))));
    world.until("/targets.json", |page| page.contains("\"c\"") && !page.contains("\"a\"")).await;
    world.until("/metrics", |page| failing(page) == Some(0.0)).await;
    assert!(!world.get("/").await.1.contains("Needs attention"));
    assert_eq!(world.names().await, ["main", "b", "c"]);
    server.respond_with(Some((200, "[]".to_owned())));
    world.until("/targets.json", |page| !page.contains("\"b\"")).await;
    assert_eq!(world.names().await, ["main"]);
    world.until("/metrics", |page| failing(page) == Some(0.0)).await;
    assert_eq!(kumomta.requests(), 4, "no target was polled again");
    world.end(vec![kumomta, server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_replaces_the_request_and_a_server_that_is_silent_does_not_delay_it() {
    let kumomta = start_server(System::Kumomta).await;
    let [first, second] = [list_server(&list(&["a"], &kumomta)).await, list_server(&list(&["b"], &kumomta)).await];
    first.silence(true);
    let world = World::start(&format!("{LISTEN}{}", targets_http(&first, ", timeout: 5m")), true).await;
    wait_until(|| first.requests() == 1, SOON, "the first request").await;
    assert_eq!((world.names().await.len(), world.get("/-/ready").await.0), (0, 200));
    world.reloads(&format!("{LISTEN}{}", targets_http(&second, "")), "0 targets: 0 added, 0 changed, 0 removed, 0 unchanged").await;
    world.until("/targets.json", |page| page.contains("\"b\"")).await;
    // The key of a list that was in use is removed: so are its targets.
    world.reloads(&file(&[target("c", &kumomta, "")]), "1 target: 1 added, 0 changed, 1 removed, 0 unchanged").await;
    world.end(vec![kumomta, first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_headers_and_tls_are_those_of_other_clients() {
    let kumomta = start_server(System::Kumomta).await;
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["sd.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("token"), "first\n").unwrap();
    let tls = Tls { certificate: certificate.pem().into(), key: key.serialize_pem().into() };
    let options = Options { frozen: true, tls: Some(tls), ..Options::default() };
    let server = SimulatedServer::start(System::Ceymail, ANY, options).await.unwrap();
    server.respond_with(Some((200, list(&["a"], &kumomta))));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!(", tls: {{ca_file: \"{}\", server_name: sd.example.com}}", at("ca.pem"));
    let authorization = |expected: &'static str| {
        let found = || server.last_request().and_then(|request| request.headers.get("authorization").cloned());
        wait_until(move || found().is_some_and(|value| value == expected), SOON, expected)
    };

    let with = |keys: &str| format!("{LISTEN}{}", targets_http(&server, keys));
    let world = World::start(&with(&format!("{tls}, token_file: \"{}\"", at("token"))), true).await;
    world.until("/targets.json", |page| page.contains("\"a\"")).await;
    authorization("Bearer first").await;
    // A rotated token is used without a reload.
    std::fs::write(folder.path().join("token"), "second\n").unwrap();
    authorization("Bearer second").await;
    let unchanged = "1 target: 0 added, 0 changed, 0 removed, 1 unchanged";
    world.reloads(&with(&format!("{tls}, username: u, password: p, headers: {{X-Scope-OrgID: mail}}")), unchanged).await;
    authorization("Basic dTpw").await;
    assert_eq!(server.last_request().unwrap().headers["x-scope-orgid"], "mail");
    // Without the authority, the certificate is not trusted, and the list stays in use.
    world.reloads(&with(""), unchanged).await;
    world.until("/metrics", |page| value(page, "postmeter_targets_http_failing{") == Some(1.0)).await;
    assert_eq!(world.names().await, ["a"]);
    world.end(vec![kumomta, server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_logged_once_and_without_secrets() {
    let server = list_server("[]").await;
    server.respond_with(Some((500, String::new())));
    let folder = tempfile::tempdir().unwrap();
    let config =
        format!("{LISTEN}targets_http: {{url: \"{}/list/aB3dE6fG9hJ2/mail?key=hunter2\", interval: 1s, token: s3cret}}\n", server.url());
    let mut program = Program::spawn_with(folder.path(), &config, &[]);
    program.base_url().await;
    wait_until(|| server.requests() >= 3, SOON, "three requests").await;
    server.respond_with(Some((200, r#"[{"targets": ["mx1.example.com:80"], "labels": {"__postmeter_system": "kumota"}}]"#.to_owned())));
    let requests = server.requests();
    wait_until(|| server.requests() >= requests + 3, SOON, "three more").await;
    server.respond_with(Some((200, "[]".to_owned())));
    wait_until(|| program.log().iter().any(|line| line.contains("targets_http is valid again")), SOON, "recovers").await;
    program.terminate();
    let log = program.end();
    let failures: Vec<&String> = log.iter().filter(|line| line.contains("targets_http failed")).collect();
    assert_eq!(failures.len(), 2, "{log:#?}");
    let name = format!("targets_http failed, the last list stays in use: {}/list/***/mail?key=***: ", server.url());
    assert!(failures[0].contains(&name) && failures[0].contains("responded with 500"), "{failures:#?}");
    assert!(failures[1].contains("[0] mx1.example.com:80: __postmeter_system: unknown mail system \"kumota\""), "{failures:#?}");
    assert!(log.iter().all(|line| !line.contains("hunter2") && !line.contains("aB3dE6fG9hJ2") && !line.contains("s3cret")), "{log:#?}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_scrape_read_the_list() {
    let kumomta = start_server(System::Kumomta).await;
    let server = list_server(&list(&["mx1", "mx2"], &kumomta)).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("postmeter.yaml");
    std::fs::write(&path, format!("{LISTEN}{}", targets_http(&server, ""))).unwrap();
    let run = |command: &'static str, rest: &'static [&'static str]| {
        let mut program: Command = postmeter();
        program.arg(command).arg("--config").arg(&path).args(rest);
        tokio::task::spawn_blocking(move || program.output().unwrap())
    };
    let checked = run("check", &[]).await.unwrap();
    let url = format!("{}/targets?collector_id=***", server.url());
    assert!(stdout(&checked).contains(&format!("more targets come from the list at {url}; --connect requests it\n")), "{checked:?}");
    assert_eq!((checked.status.code(), server.requests()), (Some(0), 0));
    let connected = run("check", &["--connect"]).await.unwrap();
    let table = stdout(&connected);
    assert_eq!(connected.status.code(), Some(0), "{table}{}", stderr(&connected));
    assert!(table.contains("a valid list of 2 targets") && table.contains("ok      mx2"), "{table}");
    let scraped = run("scrape", &["--target", "mx2"]).await.unwrap();
    assert!(stdout(&scraped).contains("mx2"), "{scraped:?}");

    server.respond_with(Some((503, String::new())));
    let failed = run("check", &["--connect"]).await.unwrap();
    let table = stdout(&failed);
    assert_eq!(failed.status.code(), Some(1), "{table}");
    assert!(table.contains("FAILED  targets_http") && table.contains("responded with 503"), "{table}");
    std::fs::write(&path, format!("{LISTEN}{}", targets_http(&server, ", body_bytes_max: 1KiB, timeout: 300ms"))).unwrap();
    server.respond_with(Some((200, " ".repeat(1025))));
    let table = stdout(&run("check", &["--connect"]).await.unwrap());
    assert!(table.contains("the response is larger than 1KiB; raise body_bytes_max if that is expected"), "{table}");
    server.silence(true);
    let table = stdout(&run("check", &["--connect"]).await.unwrap());
    assert!(table.contains("no complete response within 300ms"), "{table}");
    kumomta.shutdown().await;
    server.shutdown().await;
}

/// A counter that the server keeps continues where it was. One that Postmeter accumulates begins anew, with a later start time.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_moves_shows_no_reset_of_the_servers_counters_and_a_new_start_of_postmeters() {
    let kumomta = start_server(System::Kumomta).await;
    kumomta.traffic(|traffic| traffic.advance(600.0));
    let moving = list(&["mx"], &kumomta).replace("1h", "1s");
    let receiver = Receiver::start(ANY).await.unwrap();
    let shard = async |list: &str| {
        let server = list_server(list).await;
        let otlp =
            format!("export: {{prometheus: {{listen: \"127.0.0.1:0\"}}, otlp: {{endpoint: \"{}\", interval: 1s}}}}\n", receiver.url());
        let world = World::start(&format!("{otlp}{}", targets_http(&server, "")), true).await;
        (server, world)
    };
    let ((first_list, first), (second_list, second)) = (shard(&moving).await, shard("[]").await);
    let of = |metric: &'static str| {
        let points = flatten(&receiver.requests()).into_iter();
        points.filter(|point| point.target == "mx" && point.metric == metric && !stale(point)).collect::<Vec<Flat>>()
    };
    let delivered = || of("mail.delivery.attempts").into_iter().filter(|point| point.has(&["mail.delivery.outcome", "delivered"]));
    let errors = || of("postmeter.poll.errors");

    wait_until(|| delivered().count() > 0, SOON, "the first reading").await;
    kumomta.respond_with(Some((500, String::new())));
    wait_until(|| errors().iter().any(|point| point.value >= 3.0), SOON, "three errors").await;
    kumomta.respond_with(None);
    let failed = delivered().count();
    kumomta.traffic(|traffic| traffic.advance(60.0));
    wait_until(|| delivered().count() > failed + 1, SOON, "it responds again").await;

    // The target moves. Its series end where it was.
    first_list.respond_with(Some((200, "[]".to_owned())));
    let has_ended =
        |requests: &[_]| flatten(requests).iter().any(|point| point.target == "mx" && point.metric == "mail.up" && stale(point));
    // Failed polls have ended other series before.
    assert!(receiver.wait_for(has_ended, SOON).await, "the series end");
    let (last_delivered, last_errors) = (delivered().next_back().unwrap(), errors().pop().unwrap());
    receiver.clear();
    kumomta.traffic(|traffic| traffic.advance(60.0));
    kumomta.respond_with(Some((500, String::new())));
    second_list.respond_with(Some((200, moving)));
    wait_until(|| !errors().is_empty(), SOON, "the second instance polls").await;
    kumomta.respond_with(None);
    wait_until(|| delivered().count() > 0, SOON, "its first reading").await;

    let (next_delivered, next_errors) = (delivered().next().unwrap(), errors().remove(0));
    assert!(next_delivered.value > last_delivered.value, "{next_delivered:?} {last_delivered:?}");
    assert_eq!(next_delivered.attributes, last_delivered.attributes);
    // The start is that of the server's process, or unknown; it is never that of an instance of Postmeter.
    assert!([0, last_delivered.start].contains(&next_delivered.start), "{next_delivered:?} {last_delivered:?}");
    assert!(next_errors.value < last_errors.value, "{next_errors:?} {last_errors:?}");
    assert!(next_errors.start > last_errors.start && last_errors.start > 0, "{next_errors:?} {last_errors:?}");
    assert!(next_errors.start > last_errors.time, "{next_errors:?} {last_errors:?}");
    tokio::time::timeout(Duration::from_secs(60), async {
        first.end(vec![first_list]).await;
        second.end(vec![second_list, kumomta]).await;
        receiver.shutdown().await;
    })
    .await
    .unwrap();
}
