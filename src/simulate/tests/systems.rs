//! Every simulated system over HTTP.

use super::*;

/// The maximum time of a shutdown while a request hangs, which would otherwise last until the test is killed.
const SHUTDOWN_MAX: Duration = Duration::from_secs(20);

#[tokio::test]
async fn kumomta_responds_without_credentials_and_in_chunks() {
    let server = start(System::Kumomta, frozen()).await;
    let json = get(&server, "/metrics.json", "").await;
    assert_eq!((json.status().as_u16(), header(&json, "content-length")), (200, ""));
    assert_eq!(json.text().await.unwrap(), server.traffic(|t| kumomta::metrics_json(t)));
    let text = get(&server, "/metrics?prefix=kumo_", "").await;
    assert_eq!(header(&text, "content-type"), "text/plain; charset=utf-8");
    let body = text.text().await.unwrap();
    assert!(body.contains("\nkumo_scheduled_count_total "));
    assert!(body.contains("tenant=\"northwind\", campaign="), "{body}");
    assert!(body.contains("{service=\"smtp_client\",le=\"0.005\"}"));
    assert_eq!(client().head(server.url() + "/metrics").send().await.unwrap().status(), 401);
    let info: serde_json::Value = serde_json::from_str(&get(&server, "/api/machine-info", "").await.text().await.unwrap()).unwrap();
    assert_eq!(info["online_since"], "2026-09-21T13:59:00Z");
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn stalwart_accepts_basic_authentication_and_counts_failures() {
    let server = start(System::Stalwart, frozen()).await;
    let before = server.traffic(|t| t.auth_failed);
    for wrong in ["", "Basic Zm9vOmJhcg==", &format!("Bearer {TOKEN}")] {
        let refused = get(&server, "/metrics/prometheus", wrong).await;
        assert_eq!((refused.status().as_u16(), header(&refused, "content-type")), (401, "application/problem+json"));
        assert_eq!(refused.headers().get_all("www-authenticate").iter().count(), 2);
    }
    let response = get(&server, "/metrics/prometheus", basic()).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-type")), (200, "text/plain; version=0.0.4"));
    let body = response.text().await.unwrap();
    assert!(body.contains(&format!("\nauth_failed {}\n", before + 3)));
    assert!(!body.contains("queue_concurrency_limit_exceeded"), "a counter that is zero is exposed");
    let buckets = body.lines().filter(|line| line.starts_with("delivery_attempt_time_bucket"));
    let counts: Vec<u64> = buckets.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    let attempts = server.traffic(|t| t.attempts());
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (12, attempts));
    assert!(body.contains("delivery_attempt_time_bucket{le=\"inf\"} "));
    assert!(body.contains("\nqueue_queue_message_authenticated "));
}

#[tokio::test]
async fn stalwart_has_a_queue_api_for_each_generation() {
    let (old, new) = (start(System::Stalwart, frozen()).await, Options { generation: Generation::V016, ..frozen() });
    let new = start(System::Stalwart, new).await;
    let bearer = format!("Bearer {TOKEN}");
    let total = old.traffic(|t| t.scheduled());

    let ids = get(&old, "/api/queue/messages?limit=1", &bearer).await.text().await.unwrap();
    let ids: serde_json::Value = serde_json::from_str(&ids).unwrap();
    assert_eq!((&ids["data"]["total"], &ids["data"]["status"]), (&total.into(), &true.into()));
    assert!(ids["data"]["items"][0].as_u64().unwrap() > 1 << 53);
    let values = get(&old, "/api/queue/messages?limit=1&values=1", basic()).await.text().await.unwrap();
    let values: serde_json::Value = serde_json::from_str(&values).unwrap();
    assert!(values["data"]["items"][0]["created"].as_str().unwrap().starts_with("2026-09-21T1"), "{values}");
    assert_eq!(get(&new, "/api/queue/messages?limit=1", &bearer).await.status(), 404);

    let query = r#"{"using":["urn:ietf:params:jmap:core","urn:stalwart:jmap"],
        "methodCalls":[["x:QueuedMessage/query",{"calculateTotal":true,"limit":1},"q"],["x:Nothing/get",{},"n"]]}"#;
    let post = |to: &SimulatedServer| client().post(to.url() + "/jmap/").header("authorization", &bearer).body(query).send();
    let response: serde_json::Value = serde_json::from_str(&post(&new).await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(response["methodResponses"][0][1]["total"], total);
    assert_eq!(response["methodResponses"][1][0], "error");
    assert_eq!(post(&old).await.unwrap().status(), 404);
    assert!(get(&new, "/metrics/prometheus", basic()).await.text().await.unwrap().contains("\nqueue_message_queued "));
    assert_eq!(get(&old, "/api/queue/messages", "Bearer wrong").await.status(), 401);
}

#[tokio::test]
async fn emailengine_distinguishes_missing_wrong_and_unprivileged_tokens() {
    let server = start(System::Emailengine, frozen()).await;
    for (token, status, content_type, body) in [
        ("", 401, "application/json; charset=utf-8", "Missing authentication"),
        ("Bearer wrong", 401, "application/json; charset=utf-8", "Bad token"),
        ("Bearer no-metrics-scope", 403, "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ("Bearer simulated-token", 200, "text/plain; charset=utf-8", "\n\n# HELP webhook_req "),
    ] {
        let response = get(&server, "/metrics", token).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-type")), (status, content_type));
        assert!(response.text().await.unwrap().contains(body), "{token}");
    }
}

#[test]
fn emailengine_has_the_families_of_the_real_product() {
    let body = emailengine::metrics(&Traffic::new(1, 20));
    let types: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(types.len(), 70);
    let Ok(real) = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captures/emailengine/families.tsv")) else {
        return;
    };
    let real: Vec<String> = real.lines().skip(1).map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(types, real);
}

#[tokio::test]
async fn ceymail_limits_requests_before_it_checks_tokens() {
    let server = start(System::Ceymail, frozen()).await;
    let good = format!("Bearer {TOKEN}");
    for (authorization, status) in [("", 401), ("Bearer wrong", 401), (good.as_str(), 200)] {
        assert_eq!(get(&server, "/api/stats/metrics", authorization).await.status(), status);
    }
    for _ in 3..12 {
        assert_eq!(get(&server, "/api/stats/metrics", &good).await.status(), 200);
    }
    let refused = get(&server, "/api/stats/metrics", &good).await;
    assert_eq!(refused.status(), 429);
    assert_eq!((header(&refused, "retry-after"), header(&refused, "x-ratelimit-limit")), ("60", "12"));
    assert_eq!(refused.text().await.unwrap(), r#"{"error":"Too many requests. Please try again later."}"#);
}

async fn whm(server: &SimulatedServer, function: &str) -> serde_json::Value {
    let response = get(server, &format!("/json-api/{function}"), &format!("whm {USERNAME}:{TOKEN}")).await;
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// The number in an integer, a string or null.
fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

fn column(response: &serde_json::Value, name: &str) -> u64 {
    response["data"]["records"].as_array().unwrap().iter().map(|row| number(&row[name])).sum()
}

#[tokio::test]
async fn cpanel_windows_add_up_to_the_totals() {
    let server = start(System::Cpanel, frozen()).await;
    server.traffic(|t| t.advance(3600.0));
    let cut = EPOCH_UNIX_SECONDS + 700;
    let all = whm(&server, "emailtrack_user_stats?api.version=1").await;
    let first = whm(&server, &format!("emailtrack_user_stats?api.version=1&starttime=0&endtime={cut}")).await;
    let second = whm(&server, &format!("emailtrack_user_stats?api.version=1&starttime={}", cut + 1)).await;
    let stats = whm(&server, "emailtrack_stats?api.version=1").await;
    let t = server.traffic(|t| t.clone());
    for (name, truth) in [
        ("SENDCOUNT", t.received),
        ("SUCCESSCOUNT", t.delivered),
        ("DEFERCOUNT", t.deferred),
        ("FAILCOUNT", t.failed),
        ("TOTALSIZE", t.received_bytes),
    ] {
        assert_eq!(column(&all, name), truth, "{name}");
        assert_eq!(column(&first, name) + column(&second, name), truth, "{name}");
        assert_eq!(column(&stats, name), truth, "{name}");
    }
    assert!(column(&second, "SENDCOUNT") > 0);
    let rows = all["data"]["records"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["USER"] == "-remote-" && row["DOMAIN"] == ""));
    assert!(rows.iter().any(|row| row["DOMAIN"] == "-system-"));
    assert!(rows.iter().any(|row| row["SENDCOUNT"].is_string()) && rows.iter().any(|row| row["SENDCOUNT"].is_u64()));
    assert_eq!(rows.iter().filter(|row| row["USER"] == "user2").count(), 2);
    let pseudo = |row: &&serde_json::Value| row["USER"] != "-remote-" && row["DOMAIN"] != "-system-";
    assert_eq!(rows.iter().filter(pseudo).map(|row| number(&row["SENDCOUNT"])).sum::<u64>(), t.received_authenticated);

    let mut records = 0;
    for page in 0..3 {
        let start = page * 10 + 1;
        let path =
            format!("emailtrack_user_stats?api.version=1&api.chunk.enable=1&api.chunk.size=10&api.chunk.start={start}&api.chunk.verbose=1");
        let page = whm(&server, &path).await;
        assert_eq!(page["metadata"]["chunk"]["chunks"], 3);
        records += page["data"]["records"].as_array().unwrap().len();
    }
    assert_eq!(records, rows.len());
}

#[tokio::test]
async fn cpanel_has_its_other_functions_and_two_kinds_of_errors() {
    let server = start(System::Cpanel, frozen()).await;
    let queue = whm(&server, "fetch_mail_queue?api.version=1").await;
    assert_eq!(queue["data"]["records"].as_array().unwrap().len() as u64, server.traffic(|t| t.scheduled()));
    let services = whm(&server, "servicestatus?api.version=1").await;
    assert!(services["data"]["service"].as_array().unwrap().iter().any(|row| row.get("running").is_none()));
    let load = whm(&server, "systemloadavg?api.version=1").await;
    assert!(load["data"]["one"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
    let disks = whm(&server, "getdiskusage?api.version=1").await;
    assert!(disks["data"]["partition"][0]["used"].is_u64() && disks["data"]["partition"][1]["inodes_used"].is_null());
    assert_eq!(whm(&server, "version?api.version=1").await["data"]["version"], "11.138.0.6");
    assert_eq!(whm(&server, "version").await["version"], "11.138.0.6");
    let unknown = whm(&server, "nothing?api.version=1").await;
    assert_eq!(unknown["metadata"]["result"], 0);
    assert_eq!(unknown["metadata"]["reason"], "Unknown app (“nothing”) requested for this version (1) of the API.");
    let refused = get(&server, "/json-api/version?api.version=1", "whm root:wrong").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "content-type")), (403, "text/plain; charset=\"utf-8\""));
    assert!(refused.text().await.unwrap().starts_with(r#"{"cpanelresult":"#));
}

#[tokio::test]
async fn a_test_can_silence_override_inspect_and_stop_a_server() {
    let server = start(System::Kumomta, frozen()).await;
    server.silence(true);
    let hangs = client().get(server.url() + "/metrics").header("x-site", "a").timeout(Duration::from_millis(300)).send().await;
    assert!(hangs.unwrap_err().is_timeout());
    let last = server.last_request().unwrap();
    assert_eq!((last.path.as_str(), last.headers["x-site"].to_str().unwrap()), ("/metrics", "a"));
    server.silence(false);
    server.respond_with(Some((502, "<html>bad gateway</html>".into())));
    let response = get(&server, "/metrics", "").await;
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (502, "<html>bad gateway</html>"));
    server.respond_with(None);
    server.silence(true);
    let url = server.url();
    let hanging = tokio::spawn(client().get(url.clone() + "/metrics").send());
    while server.requests() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(SHUTDOWN_MAX, server.shutdown()).await.expect("a hanging request delays the shutdown");
    assert_eq!(hanging.await.unwrap().unwrap().status(), 503);
    assert!(client().get(url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn simulated_time_follows_the_clock_unless_frozen() {
    for (is_frozen, advances) in [(true, false), (false, true)] {
        let server = start(System::Kumomta, Options { frozen: is_frozen, ..Options::default() }).await;
        let before = server.traffic(|t| t.now());
        tokio::time::sleep(Duration::from_millis(50)).await;
        get(&server, "/metrics", "").await;
        assert_eq!(server.traffic(|t| t.now()) > before, advances);
    }
}
