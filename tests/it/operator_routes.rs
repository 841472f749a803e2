//! `/config`, `/-/poll` and `/-/response`: what an operator requests from the status page or with curl.
#![allow(clippy::unwrap_used)]

use crate::reload::world::{SOON, World, start_server, target};
use crate::support::wait_until_async;
use parking_lot::Mutex;
use postmeter::simulate::{PASSWORD, SimulatedServer, System, TOKEN};
use reqwest::{Method, Response};
use serde_json::Value;

/// A service with one target, which was polled once.
async fn start(system: System, keys: &str) -> (World, SimulatedServer) {
    let server = start_server(system).await;
    let text = format!("targets:\n{}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n", target("mx", &server, keys));
    let world = World::start(&text, false).await;
    world.ready().await;
    (world, server)
}

async fn text(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_comes_too_early_is_refused_with_the_time_when_it_is_allowed() {
    let (world, server) = start(System::Kumomta, "min_interval: 1h").await;
    let requests = server.requests();
    let response = world.request(Method::POST, "/-/poll?target=mx").await;
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3000..=3240).contains(&seconds), "a poll is due a tenth of the interval early: {seconds}");
    let (status, message) = text(response).await;
    assert_eq!(status, 429);
    let expected = format!("mx was not polled: min_interval (1h) has not passed since the last one; allowed in {seconds} s, at ");
    assert!(message.starts_with(&expected), "{message}");
    let at: jiff::Timestamp = message.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let wait = at.duration_since(jiff::Timestamp::now()).as_secs();
    assert!(wait.abs_diff(i64::try_from(seconds).unwrap()) <= 5, "{wait}");
    assert_eq!(server.requests(), requests, "nothing was sent");
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_poll_is_sent_and_its_result_is_returned() {
    let (world, server) = start(System::Kumomta, "min_interval: 1s, parts: {machine-info: {}}").await;
    // Polls once the interval since the last poll is over.
    let poll = async || {
        let result = Mutex::new((0, String::new()));
        let is_allowed = async || {
            let polled = text(world.request(Method::POST, "/-/poll?target=mx").await).await;
            let mut result = result.lock();
            *result = polled;
            result.0 != 429
        };
        wait_until_async(is_allowed, SOON, "a poll is allowed").await;
        result.into_inner()
    };
    let requests = server.requests();
    let (status, message) = poll().await;
    assert!(status == 200 && message.starts_with("mx was polled in ") && message.contains("ms: up, "), "{status} {message}");
    assert!(server.requests() > requests, "the server was polled");
    server.respond_with(Some((503, "busy".to_owned())));
    let (status, message) = poll().await;
    assert!(status == 502 && message.contains("down: the server responded with 503"), "{status} {message}");
    let state: Value = serde_json::from_str(&world.get("/targets.json").await.1).unwrap();
    assert_eq!(state["targets"][0]["state"], "down");
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_is_open_does_not_stop_an_operator() {
    let (world, server) = start(System::Ceymail, "min_interval: 1s, backoff_max: 1h").await;
    server.respond_with(Some((503, "busy".to_owned())));
    let is_open = async || {
        world.get("/metrics").await;
        world.get("/-/ready").await.1.contains("circuit open")
    };
    wait_until_async(is_open, SOON, "the circuit is open").await;
    server.respond_with(None);
    let is_polled = async || text(world.request(Method::POST, "/-/poll?target=mx").await).await.0 == 200;
    wait_until_async(is_polled, SOON, "the target was polled").await;
    assert_eq!(world.get("/-/ready").await.1, "ready\n", "the circuit is closed");
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_shown_without_secrets_within_its_size_and_not_too_often() {
    let (world, server) = start(System::Ceymail, "min_interval: 1h, headers: {X-Site: s1te-secret}").await;
    let leak = format!("token {TOKEN} and s1te-secret, \u{1b}[2J {}", "x".repeat(100_000));
    server.respond_with(Some((500, leak)));
    let requests = server.requests();
    let (status, body) = text(world.request(Method::GET, "/-/response?target=mx").await).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.starts_with(&format!("GET {}/", server.url())), "{body}");
    assert!(body.contains("\n500") && body.contains("The body is longer; these are its first 65536 bytes."), "{}", &body[..300]);
    assert!(body.contains("token *** and ***, \\u001b[2J xxx"), "{}", &body[..300]);
    assert!(!body.contains(TOKEN) && !body.contains("s1te") && body.len() < 70_000, "{}", body.len());
    assert_eq!(server.requests(), requests + 1);
    let (status, message) = text(world.request(Method::GET, "/-/response?target=mx&part=metrics").await).await;
    assert!(status == 429 && message.contains("min_interval (1h) has not passed"), "{status} {message}");
    assert_eq!(server.requests(), requests + 1, "nothing was sent");
    let (status, message) = text(world.request(Method::GET, "/-/response?target=mx&part=queue").await).await;
    assert!(status == 404 && message.contains("its parts are: metrics"), "{status} {message}");
    // The page shows what was requested.
    let page = world.get("/").await.1;
    assert!(page.contains(&format!("GET http</span>{}/api/stats/metrics</code>", server.url().trim_start_matches("http"))), "{page}");
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cause_polls_are_guarded() {
    let (world, server) = start(System::Kumomta, "min_interval: 1s").await;
    let requests = server.requests();
    for (method, path) in [(Method::POST, "/-/poll"), (Method::GET, "/-/response")] {
        let with_target = format!("{path}?target=mx");
        for (name, value) in [("origin", "https://evil.example.com"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
            let response = world.client.request(method.clone(), world.url(&with_target)).header(name, value).send().await.unwrap();
            assert_eq!(text(response).await, (403, "cross-site requests are rejected\n".to_owned()), "{path} {name}");
        }
        let (status, message) = text(world.request(method.clone(), path).await).await;
        assert!(status == 400 && message.contains(&format!("{path}?target=NAME")), "{status} {message}");
        assert_eq!(text(world.request(method, &format!("{path}?target=nobody")).await).await.0, 404);
    }
    assert_eq!(world.request(Method::GET, "/-/poll?target=mx").await.status(), 405);
    assert_eq!(world.request(Method::POST, "/-/response?target=mx").await.status(), 405);
    assert_eq!(server.requests(), requests, "nothing was sent");
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_routes_need_the_credentials_of_the_metrics() {
    // The SHA-256 of `test`.
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let server = start_server(System::Kumomta).await;
    let text = format!(
        "targets:\n{}export:\n  prometheus: {{listen: \"127.0.0.1:0\", auth: {{tokens: [{{name: reader, sha256: {sha256}}}], open: [/-/ready]}}}}\n",
        target("mx", &server, "min_interval: 1s")
    );
    let world = World::start(&text, false).await;
    world.ready().await;
    for (method, path) in [(Method::GET, "/config"), (Method::GET, "/-/response?target=mx"), (Method::POST, "/-/poll?target=mx")] {
        assert_eq!(world.request(method.clone(), path).await.status(), 401, "{path}");
        let response = world.client.request(method, world.url(path)).bearer_auth("test").send().await.unwrap();
        assert!([200, 429].contains(&response.status().as_u16()), "{path}: {}", response.status());
        let body = response.text().await.unwrap();
        assert!(!body.contains(sha256), "{body}");
    }
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_in_use_has_every_target_and_no_secret() {
    let server = start_server(System::Stalwart).await;
    let export = "export:\n  prometheus: {listen: \"127.0.0.1:0\"}\n";
    let first = format!(
        "defaults: {{timeout: 7s}}\ntargets_files: [FOLDER/more.yaml]\ntargets:\n{}{export}",
        target("mx", &server, "headers: {X-Key: h3ader-secret}, proxy: \"http://127.0.0.1:9\"")
    );
    let folder_file = "[{name: any, system: prometheus, url: 'http://127.0.0.1:1/metrics?token=qu3ry-secret&format=prometheus'}]";
    let world = World::start(&first, false).await;
    world.write("more.yaml", folder_file);
    let config = world.until("/config", |text| text.contains("name: any")).await;
    for secret in [PASSWORD, "h3ader", "qu3ry"] {
        assert!(!config.contains(secret), "{secret}: {config}");
    }
    for line in [
        "    timeout: 7s\n",
        "    password: \"***\"\n",
        "      X-Key: \"***\"\n",
        "    proxy: \"http://127.0.0.1:9/\"\n",
        "    url: \"http://127.0.0.1:1/metrics?token=***&format=prometheus\"\n",
        "    scrape_wait_max: 8s\n",
    ] {
        assert!(config.contains(line), "{line}{config}");
    }
    let response = world.request(Method::GET, "/config").await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_on_the_page_are_counted_from_the_delivery_log() {
    let server = start_server(System::Cpanel).await;
    let keys = "min_interval: 1h, parts: {messages: {interval: 1s}}";
    let text =
        format!("state_dir: FOLDER/state\ntargets:\n{}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n", target("whm", &server, keys));
    let world = World::start(&text, false).await;
    let has_rate = |page: &str, title: &str| {
        let figure = page.split("<figcaption").skip(1).find(|figure| figure.contains(&format!(">{title}</figcaption>")));
        figure.is_some_and(|figure| figure.split("</figure>").next().unwrap_or_default().contains("<span class=\"unit\">/min"))
    };
    // The target is polled once in an hour, so these values come from the log.
    let page = world.until("/", |page| ["Delivered", "Deferred", "Failed"].iter().all(|title| has_rate(page, title))).await;
    assert!(page.contains("completely read"), "{page}");
    let part = async || {
        let state: Value = serde_json::from_str(&world.get("/targets.json").await.1).unwrap();
        state["targets"][0]["parts"].as_array().unwrap().last().unwrap().clone()
    };
    let up = part().await;
    assert_eq!((up["name"].as_str(), up["state"].as_str(), up["required"].as_bool()), (Some("messages"), Some("up"), Some(false)));
    // A log that cannot be read needs attention, and is a part that is down.
    server.respond_with(Some((503, "busy".to_owned())));
    let page = world.until("/", |page| page.contains("the server responded with 503")).await;
    assert!(page.contains("Needs attention") && page.contains("<span class=\"muted\">part messages</span>"), "{page}");
    assert_eq!(part().await["state"], "down");
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_down_need_attention() {
    let (world, server) = start(System::Ceymail, "min_interval: 1s").await;
    let metrics = "# TYPE ceymail_service_up gauge\nceymail_service_up{name=\"exim\"} 0\nceymail_service_up{name=\"dovecot\"} 1\nceymail_queue_active 1\n";
    server.respond_with(Some((200, metrics.to_owned())));
    let is_shown = async || {
        world.get("/metrics").await;
        let page = world.get("/?only=unhealthy").await.1;
        page.contains("services down") && page.contains("(exim)") && page.contains("id=\"row-mx\"")
    };
    wait_until_async(is_shown, SOON, "the page shows the service").await;
    world.end(vec![server]).await;
}
