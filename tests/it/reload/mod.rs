//! Reloads of a running service over HTTP: unchanged, changed and removed targets, and rejected changes.
#![allow(clippy::unwrap_used)]

mod files;
mod http_list;
mod logs;
mod process;
mod push;
mod state_files;
pub mod world;

use crate::support::wait_until;
use postmeter::simulate::{SimulatedServer, System};
use reqwest::Method;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use world::{World, start_server, target, value};

const LISTEN: &str = "export: {prometheus: {listen: \"127.0.0.1:0\"}}\n";

fn file(targets: &[String]) -> String {
    format!("targets:\n{}{LISTEN}", targets.concat())
}

/// Scrapes continuously on several paths until `stop`. Returns the number of scrapes and the values of one series.
async fn scrape_continuously(world: &Arc<World>, series: &'static str, stop: &Arc<AtomicBool>) -> (u64, BTreeSet<u64>) {
    let scrapes = Arc::new(AtomicU64::new(0));
    let mut loops = tokio::task::JoinSet::new();
    for path in ["/metrics", "/metrics", "/probe?target=kept", "/metrics.json?target=kept", "/sd", "/targets.json"] {
        let (world, scrapes, stop) = (world.clone(), scrapes.clone(), stop.clone());
        loops.spawn(async move {
            let mut seen = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let (status, page) = world.get(path).await;
                assert_eq!(status, 200, "{path}: {page}");
                if path == "/metrics" {
                    seen.insert(value(&page, series).unwrap_or_else(|| panic!("no {series} in\n{page}")).to_bits());
                }
                scrapes.fetch_add(1, Ordering::Relaxed);
            }
            seen
        });
    }
    let mut seen = BTreeSet::new();
    while let Some(one) = loops.join_next().await {
        seen.extend(one.unwrap());
    }
    (scrapes.load(Ordering::Relaxed), seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_scrape_fails_during_reloads_and_unchanged_targets_are_not_polled() {
    let [kept, changing, coming] =
        [start_server(System::Kumomta).await, start_server(System::Kumomta).await, start_server(System::Ceymail).await];
    kept.traffic(|traffic| traffic.advance(600.0));
    let stays = target("kept", &kept, "min_interval: 1h");
    let with = |rest: &[String]| file(&[std::slice::from_ref(&stays), rest].concat());
    let world = Arc::new(World::start(&with(&[target("other", &changing, "min_interval: 1h")]), true).await);
    world.ready().await;
    assert_eq!(kept.requests(), 1);

    let stop = Arc::new(AtomicBool::new(false));
    let series = "mail_delivery_attempts_total{instance=\"kept\",job=\"kumomta\",mail_delivery_outcome=\"delivered\"";
    let scraping = tokio::spawn({
        let (world, stop) = (world.clone(), stop.clone());
        async move { scrape_continuously(&world, series, &stop).await }
    });
    for round in 1..=10 {
        // A poll would return these new values.
        kept.traffic(|traffic| traffic.advance(60.0));
        let other = target("other", &changing, &format!("min_interval: 1h, timeout: {round}s"));
        world.reloads(&with(&[other.clone(), target("new", &coming, "")]), "3 targets: 1 added, 1 changed, 0 removed, 1 unchanged").await;
        assert_eq!(world.names().await, ["kept", "other", "new"]);
        world.reloads(&with(&[other]), "2 targets: 0 added, 0 changed, 1 removed, 2 unchanged").await;
        assert_eq!(world.names().await, ["kept", "other"]);
    }
    // The same values in another notation.
    let same_values = with(&[]).replace("1h", "\"1h\"") + "# with a comment\n";
    world.reloads(&same_values, "1 target: 0 added, 0 changed, 1 removed, 1 unchanged").await;
    stop.store(true, Ordering::Relaxed);
    let (scrapes, seen) = scraping.await.unwrap();
    assert!(scrapes > 50, "{scrapes}");
    assert_eq!(seen.len(), 1, "the reading stays: {:?}", seen.into_iter().map(f64::from_bits).collect::<Vec<_>>());
    assert_eq!((kept.requests(), changing.requests()), (1, 11));
    Arc::into_inner(world).unwrap().end(vec![kept, changing, coming]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_in_progress_finishes_with_the_previous_targets() {
    let [slow, other] = [start_server(System::Kumomta).await, start_server(System::Kumomta).await];
    // When the reading of the first target is due, that of the other is due, too.
    let (slowly, otherwise) = (target("slow", &slow, "min_interval: 3s, timeout: 30s"), target("other", &other, "min_interval: 1s"));
    let world = Arc::new(World::start(&file(&[slowly, otherwise.clone()]), true).await);
    world.ready().await;
    slow.silence(true);
    let requests_before = slow.requests();
    let (began, mut probes) = (std::time::Instant::now(), tokio::task::JoinSet::new());
    // The reading becomes due, and the next poll hangs.
    while slow.requests() == requests_before {
        assert!(began.elapsed() < world::SOON);
        let world = world.clone();
        probes.spawn(async move { world.scrape("/probe?target=slow", "1").await });
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let polls_before = other.requests();
    let in_flight = tokio::spawn({
        let world = world.clone();
        async move { world.scrape("/metrics", "6").await }
    });
    wait_until(|| other.requests() > polls_before, world::SOON, "the scrape is in progress").await;
    world.reloads(&file(&[otherwise]), "1 target: 0 added, 0 changed, 1 removed, 1 unchanged").await;
    assert_eq!(world.get("/probe?target=slow").await.0, 404);
    assert!(!in_flight.is_finished());
    slow.silence(false);
    let (status, page) = in_flight.await.unwrap();
    assert_eq!((status, value(&page, "mail_up{instance=\"other\"")), (200, Some(1.0)));
    assert!(value(&page, "mail_up{instance=\"slow\"").is_some(), "{page}");
    assert!(!world.get("/metrics").await.1.contains("instance=\"slow\""));
    probes.join_all().await;
    Arc::into_inner(world).unwrap().end(vec![slow, other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_changes_nothing_and_every_error_is_reported() {
    let kumomta = start_server(System::Kumomta).await;
    let good = file(&[target("a", &kumomta, "")]);
    let world = World::start(&good, true).await;
    world.ready().await;
    let own = || async {
        let page = world.get("/metrics").await.1;
        let (last, time) = ("postmeter_config_last_reload_successful{", "postmeter_config_last_reload_success_timestamp_seconds{");
        (value(&page, last), value(&page, time).unwrap())
    };
    let (at_start, since) = own().await;
    assert_eq!(at_start, Some(1.0));

    world.write("postmeter.yaml", "targets:\n  - {name: b, system: kumota}\nexprot: {}\n");
    let expected = "not reloaded, the previous configuration stays in use:\n\
        postmeter.yaml:2: targets[0].system: unknown mail system \"kumota\"; did you mean kumomta? A file of systems_files can define it\n\
        postmeter.yaml:2: targets[0]: url is missing\n\
        postmeter.yaml:3: exprot: unknown key; did you mean export?\n";
    assert_eq!(world.reload().await, (500, expected.to_owned()));
    assert_eq!(own().await, (Some(0.0), since));
    assert_eq!(world.names().await, ["a"]);
    let page = world.get("/").await.1;
    assert!(page.contains("not reloaded</span> configuration") && page.contains("configuration loaded <time"), "{page}");
    assert!(!page.contains("kumota"), "the file's own words are not for every reader");

    std::fs::remove_file(world.at("postmeter.yaml")).unwrap();
    let (status, body) = world.reload().await;
    assert_eq!((status, body.contains("No such file")), (500, true), "{body}");

    world.reloads(&good, "1 target: 0 added, 0 changed, 0 removed, 1 unchanged").await;
    let (last, time) = own().await;
    assert_eq!(last, Some(1.0));
    assert!(!world.get("/").await.1.contains("Needs attention"));
    assert!(time > since, "{time} {since}");
    assert_eq!(kumomta.requests(), 1);
    world.end(vec![kumomta]).await;
}

/// Without them nobody knows that a shard does not run: all other targets are up.
#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_shards_is_a_metric_of_each_shard() {
    let kumomta = start_server(System::Kumomta).await;
    let targets = file(&[target("a", &kumomta, "")]);
    let world = World::start(&format!("{targets}shard: 1/2\n"), true).await;
    let shards = || async {
        let page = world.get("/metrics").await.1;
        let series = page.lines().filter(|line| line.starts_with("postmeter_shards{")).map(|line| {
            let index = line.split("postmeter_shard_index=\"").nth(1).unwrap().split('"').next().unwrap();
            (index.to_owned(), line.rsplit(' ').next().unwrap().to_owned())
        });
        series.collect::<Vec<_>>()
    };
    let expected = |series: &[(&str, &str)]| series.iter().map(|(index, n)| ((*index).to_owned(), (*n).to_owned())).collect::<Vec<_>>();
    assert_eq!(shards().await, expected(&[("1", "2")]));
    for (shard, series) in
        [("shard: 1/3\n", &[("1", "3")][..]), ("shard: 0/3\n", &[("0", "3"), ("1", "0")]), ("", &[("0", "0"), ("1", "0")])]
    {
        world.write("postmeter.yaml", &format!("{targets}{shard}"));
        assert_eq!(world.reload().await.0, 200, "{shard}");
        let mut found = shards().await;
        found.sort();
        assert_eq!(found, expected(series), "{shard}");
    }
    world.end(vec![kumomta]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_need_a_restart_are_rejected_by_name() {
    let kumomta = start_server(System::Kumomta).await;
    let targets = format!("targets:\n{}", target("a", &kumomta, ""));
    let world = World::start(&format!("{targets}{LISTEN}"), true).await;
    let refused = |rest: &'static str| {
        world.write("postmeter.yaml", &format!("{targets}{}{rest}", target("b", &kumomta, "")));
        async {
            let (status, body) = world.reload().await;
            assert_eq!((status, world.names().await.len()), (500, 1), "{body}");
            body.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        }
    };
    let error =
        |path: &str| format!("postmeter.yaml: {path}: cannot change while Postmeter is running; restart Postmeter, or undo the change");
    assert_eq!(refused("export: {prometheus: {listen: \"127.0.0.1:1\"}}\n").await, [error("export.prometheus.listen")]);
    assert_eq!(refused("export: {prometheus: false, otlp: {}}\n").await, [error("export.prometheus.listen"), error("export.otlp")]);
    assert_eq!(refused("export: {prometheus: {listen: \"127.0.0.1:0\"}}\ntelemetry: {log_level: debug}\n").await, [error("telemetry")]);
    world.end(vec![kumomta]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_is_disabled_by_default_and_requires_post() {
    let kumomta = start_server(System::Kumomta).await;
    let closed = file(&[target("a", &kumomta, "")]);
    let world = World::start(&closed, false).await;
    assert_eq!(world.reload().await.0, 403);
    let response = world.request(Method::GET, "/-/reload").await;
    assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str().unwrap()), (405, "POST"));

    let opened = World::start(&format!("{closed}reload: {{endpoint: true}}\n"), false).await;
    assert_eq!(opened.reload().await, (200, "reloaded: 1 target: 0 added, 0 changed, 0 removed, 1 unchanged\n".to_owned()));
    // A reload can disable the endpoint.
    opened.reloads(&closed, "1 target: 0 added, 0 changed, 0 removed, 1 unchanged").await;
    assert_eq!(opened.reload().await.0, 403);

    let by_flag = World::start(&closed, true).await;
    assert_eq!([by_flag.reload().await.0, by_flag.reload().await.0], [200, 200]);
    // A web page of another site must not be able to trigger a reload through a browser.
    let own = by_flag.url("");
    for (name, value, expected) in [
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "same-origin", 200),
        ("Origin", "https://evil.example.com", 403),
        ("Origin", "null", 403),
        ("Origin", own.as_str(), 200),
    ] {
        let response = by_flag.client.post(by_flag.url("/-/reload")).header(name, value).send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{name}: {value}");
    }
    for world in [world, opened, by_flag] {
        world.end(Vec::new()).await;
    }
    kumomta.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_replaced_together_with_the_rest_or_not_at_all() {
    let kumomta = start_server(System::Kumomta).await;
    let text = |auth: &str, name: &str| {
        let export = format!("export: {{prometheus: {{listen: \"127.0.0.1:0\"{auth}}}}}\n");
        format!("targets:\n{}{export}reload: {{watch: true}}\n", target(name, &kumomta, ""))
    };
    let world = World::start(&text("", "a"), true).await;
    assert_eq!(world.get("/sd").await.0, 200);
    let trusted = ", auth: {trusted: [192.0.2.1]}";
    // Nothing is applied from a file that also needs a restart.
    world.write("postmeter.yaml", &format!("{}telemetry: {{log_level: off}}\n", text(trusted, "b")));
    assert_eq!((world.reload().await.0, world.get("/sd").await.0), (500, 200));
    world.reloads(&text(", auth: {trusted: [127.0.0.1]}", "b"), "1 target: 1 added, 0 changed, 1 removed, 0 unchanged").await;
    // Protection is not removed by accident: the section is missing, or trusts every address.
    for open in ["", ", auth: {trusted: [0.0.0.0/0]}", ", auth: {trusted: [0.0.0.0/1, 128.0.0.0/1]}"] {
        world.write("postmeter.yaml", &text(open, "c"));
        let (status, body) = world.reload().await;
        assert!(
            status == 500 && body.contains("would lose protection: every client could read it; if this is intended, restart Postmeter"),
            "{body}"
        );
        assert_eq!(world.names().await, ["b"]);
    }
    world.reloads(&text(trusted, "b"), "1 target: 0 added, 0 changed, 0 removed, 1 unchanged").await;
    assert_eq!([world.get("/sd").await.0, world.reload().await.0], [403, 403]);
    // A client without access can still edit the file.
    world.write("postmeter.yaml", &text(", allow_unprotected: true", "b"));
    world.until("/targets.json", |page| page.contains("\"b\"")).await;
    world.end(vec![kumomta]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_target_is_reported_with_its_current_line() {
    let kumomta = start_server(System::Kumomta).await;
    let text = file(&[target("a", &kumomta, "")]);
    let world = World::start(&text, true).await;
    let stands_at = async |line: usize| {
        let page: serde_json::Value = serde_json::from_str(&world.get("/targets.json").await.1).unwrap();
        let body = page["targets"][0]["configured_in"].as_str().unwrap().to_owned();
        assert!(body.ends_with(&format!("postmeter.yaml:{line}")), "{body}");
    };
    stands_at(2).await;
    world.reloads(&format!("# one\n# two\n{text}"), "1 target: 0 added, 0 changed, 0 removed, 1 unchanged").await;
    stands_at(4).await;
    world.end(vec![kumomta]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_is_reloaded_when_it_changes() {
    let kumomta = start_server(System::Kumomta).await;
    let text = |names: &[&str]| {
        let targets: Vec<String> = names.iter().map(|name| target(name, &kumomta, "")).collect();
        format!("{}reload: {{watch: true}}\n", file(&targets))
    };
    let world = World::start(&text(&["a"]), false).await;
    world.write("postmeter.yaml", &text(&["a", "b"]));
    world.until("/targets.json", |page| page.contains("\"b\"")).await;
    world.write("postmeter.yaml", "targets: []\n");
    world.until("/metrics", |page| value(page, "postmeter_config_last_reload_successful{") == Some(0.0)).await;
    assert_eq!(world.names().await, ["a", "b"]);
    world.write("postmeter.yaml", &text(&["b"]));
    world.until("/targets.json", |page| !page.contains("\"a\"")).await;
    world.end(vec![kumomta]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_target_keeps_its_counters_its_errors_and_its_request_budget() {
    let [cpanel, ceymail] = [start_server(System::Cpanel).await, start_server(System::Ceymail).await];
    let of = |rest: &str| {
        let interval = |system| if system == System::Cpanel { "1s" } else { "1h" };
        let both = [("c", &cpanel), ("m", &ceymail)];
        file(&both.map(|(name, at): (_, &SimulatedServer)| target(name, at, &format!("min_interval: {}{rest}", interval(at.system())))))
    };
    cpanel.respond_with(Some((500, String::new())));
    let world = World::start(&of(""), true).await;
    world.ready().await;
    let errors = "postmeter_poll_errors_total{error_type=\"server_error\",instance=\"c\"";
    let before = world.until("/metrics", |page| page.contains("postmeter_poll_errors_total{")).await;
    let errors = before.lines().find(|line| line.starts_with("postmeter_poll_errors_total{") && line.contains("\"c\"")).unwrap_or(errors);
    let errors = errors.rsplit_once(' ').unwrap().0.to_owned();
    cpanel.respond_with(None);
    world.until("/metrics", |page| value(page, "mail_up{instance=\"c\"") == Some(1.0)).await;
    let counted = value(&world.get("/metrics").await.1, &errors).unwrap();
    for round in 1..=12 {
        world.reloads(&of(&format!(", timeout: {round}s")), "2 targets: 0 added, 2 changed, 0 removed, 0 unchanged").await;
        world.until("/targets.json", |page| !page.contains("\"state\":\"unknown\"")).await;
    }
    let page = world.get("/metrics").await.1;
    assert_eq!(value(&page, &errors), Some(counted), "{page}");
    // The server accepts 12 requests per minute. The reloads used them, and the thirteenth was not sent.
    assert_eq!((ceymail.requests(), value(&page, "mail_up{instance=\"m\"")), (12, Some(0.0)));
    assert!(page.contains("rate_limited"), "{page}");
    world.end(vec![cpanel, ceymail]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_added_later_does_not_affect_readiness() {
    let [first, hanging] = [start_server(System::Kumomta).await, start_server(System::Kumomta).await];
    let a = target("a", &first, "");
    let world = World::start(&file(std::slice::from_ref(&a)), true).await;
    world.ready().await;
    hanging.silence(true);
    world.reloads(&file(&[a, target("b", &hanging, "timeout: 30s")]), "2 targets: 1 added, 0 changed, 0 removed, 1 unchanged").await;
    assert_eq!(world.get("/-/ready").await.0, 200);
    world.end(vec![first, hanging]).await;
}
