//! Tests of the status page in a browser: simulated mail servers on one side, Chromium on the other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod screenshot;
mod service;

use crate::support::{http_client, skipped};
use browser::Browser;
use postmeter::simulate::{Receiver, System};
use serde_json::{Value, json};
use service::{ANY, TestService, frozen_server, target};

const TAB: char = '\u{E004}';
const ENTER: char = '\u{E007}';
/// Text of a mail server that attacks the reader of the page.
const HOSTILE: &str = "<img src=x onerror='window.hostile=1'><script>window.hostile=1</script>\"'>&amp;";

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Starts a browser, or skips the test.
macro_rules! browser {
    ($test:literal) => {
        match Browser::start().await {
            Ok(browser) => browser,
            Err(why) => return skipped($test, &why),
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_have_security_headers_and_link_only_existing_endpoints() {
    let service = TestService::start().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let response = service.get(path).await;
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!((response.status().as_u16(), header("content-type").as_str()), (200, kind), "{path}");
        assert_eq!((header("x-content-type-options").as_str(), header("referrer-policy").as_str()), ("nosniff", "no-referrer"), "{path}");
        let head = http_client().head(service.url(path)).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.headers()["content-type"].to_str().unwrap()), (200, kind), "HEAD {path}");
        assert_eq!(head.text().await.unwrap(), "", "HEAD {path}");
    }
    let response = service.get("/").await;
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for rule in
        ["default-src 'none'", "style-src 'self'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]
    {
        assert!(policy.split(';').any(|directive| directive.trim() == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = response.text().await.unwrap();
    assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains("http://"), "{page}");
    // All links of the footer work.
    let (_, footer) = page.split_once("<footer>").unwrap();
    let links: Vec<&str> = footer.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for link in ["metrics", "metrics.json", "targets.json", "config", "sd", "-/ready", "-/healthy"] {
        assert!(links.contains(&link), "{link}: {links:?}");
    }
    for link in links {
        assert_eq!(service.get(&format!("/{link}")).await.status(), 200, "{link}");
    }
    let only = service.get("/?target=the-kumomta").await.text().await.unwrap();
    assert!(only.contains("target-the-kumomta") && !only.contains("target-the-cpanel"));
    assert_eq!(service.get("/?target=nobody").await.status(), 404);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_push_is_shown_with_its_queue() {
    let receiver = Receiver::start(ANY).await.unwrap();
    let server = frozen_server(System::Kumomta).await;
    let targets = target(&server);
    let export = format!("otlp: {{endpoint: \"{}\", interval: 1s, retry: {{initial: 100ms, max: 100ms}}}}, ", receiver.url());
    let service = TestService::with(vec![server], &targets, &export, "").await;
    service.until_page_contains("points in total").await;
    receiver.fail_with(Some(tonic::Status::unavailable(HOSTILE)));
    let page = service.until_page_contains("next retry").await;
    assert!(!page.contains("<img src=x") && page.contains("window.hostile"), "{page}");
    receiver.fail_with(None);
    service.until_page("a push that works", |page| !page.contains("next retry") && page.contains("empty")).await;
    service.end().await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_shown_with_their_last_use_but_without_their_value() {
    const TOKEN_SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let targets = "  - {name: gone, system: kumomta, url: \"http://127.0.0.1:1\"}\n";
    let tokens = format!(
        "[{{name: reader, sha256: {TOKEN_SHA256}}}, {{name: former, sha256: {}, expires: 2020-01-31}}]",
        TOKEN_SHA256.replace('9', "8")
    );
    let service = TestService::with(Vec::new(), targets, "", &format!(", auth: {{tokens: {tokens}}}")).await;
    assert_eq!(service.get("/").await.status(), 401);
    let request = http_client().get(service.url("/")).bearer_auth("test");
    let page = request.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("reader") && page.contains("former") && page.contains("expired") && page.contains("just now"), "{page}");
    assert!(!page.contains(TOKEN_SHA256), "not even the hash");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_targets_fit_on_one_page() {
    let targets: String = (0..1000).map(|i| format!("  - {{name: t{i}, system: kumomta, url: \"http://127.0.0.1:1\"}}\n")).collect();
    let service = TestService::with(Vec::new(), &targets, "", "").await;
    let page = service.until_page_contains("<title>1000 down").await;
    assert!(page.contains("row-t999") && page.contains("?target=t999") && !page.contains("target-t999"));
    assert!(page.len() < 2 * 1024 * 1024, "{} bytes", page.len());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_shown_without_errors_in_the_browser() {
    let browser = browser!("the page with its targets");
    let service = TestService::start().await;
    // Rates need two readings.
    service.server(System::Kumomta).traffic(|traffic| traffic.delivered += 60);
    service
        .until_page("rates of four systems", |page| {
            page.matches("Delivered").count() > 4 && page.matches("class=\"unit\">/min").count() > 20
        })
        .await;
    browser.open(&service.url("/")).await;
    let rows = browser.run("return [...document.querySelectorAll('.targets tbody tr')].map(r => r.cells[1].querySelector('a').textContent + ' ' + r.cells[0].innerText.trim())").await;
    let expected = ["gone down", "the-cpanel up", "the-ceymail up", "the-kumomta up", "the-stalwart up", "the-emailengine up"];
    assert_eq!(strings(&rows), expected, "failures first, then as configured");
    let queue = service.server(System::Kumomta).traffic(|traffic| traffic.scheduled() + traffic.ready());
    let shown = browser.run("return document.querySelector('#row-the-kumomta td.n span').textContent").await;
    assert_eq!(shown.as_str().unwrap().replace(',', ""), queue.to_string());
    let problems = browser.run("return document.querySelector('.attention').innerText").await;
    assert!(problems.as_str().unwrap().contains("Connection refused"), "{problems}");
    let undrawn = browser.run("return [...document.querySelectorAll('details:not(#target-gone) figure')].filter(f => !f.querySelector('.line').getAttribute('d') && !f.querySelector('.value .muted')).map(f => f.innerText)").await;
    assert_eq!(undrawn, json!([]), "each figure has a chart");
    assert!(browser.run("return document.querySelectorAll('details figure').length").await.as_u64().unwrap() > 25);
    assert_eq!(browser.run("return document.title").await, "1 down · Postmeter");
    let headings = browser.run("return [...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => h.localName)").await;
    let levels: Vec<u32> = strings(&headings).iter().map(|name| name[1..].parse().unwrap()).collect();
    assert!(levels.first() == Some(&1) && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    let unlabelled = browser.run("return [...document.querySelectorAll('thead th, tbody th')].filter(th => !th.scope).length + document.querySelectorAll('svg[role=img]:not([aria-label])').length").await;
    assert_eq!(unlabelled, 0);
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_mail_servers_cannot_inject_markup() {
    let service = TestService::start().await;
    let json = json!({"metadata": {"command": "emailtrack_user_stats", "reason": HOSTILE, "result": 0, "version": 1}, "data": {}});
    service.server(System::Cpanel).respond_with(Some((200, json.to_string())));
    let quoted = HOSTILE.replace('\\', "\\\\").replace('"', "\\\"");
    let version = format!("# TYPE emailengine_config gauge\nemailengine_config{{version=\"{quoted}\"}} 1\n");
    service.server(System::Emailengine).respond_with(Some((200, version)));
    let metrics = format!("# TYPE ceymail_service_up gauge\nceymail_service_up{{name=\"{quoted}\"}} 0\nceymail_queue_active 1\n");
    service.server(System::Ceymail).respond_with(Some((200, metrics)));
    // Shown at the top, with the target and as its last error; as the name of a service; as a version.
    let page = service
        .until_page("hostile text", |page| {
            // Each target has been polled again: the simulated EmailEngine's own version is no longer shown.
            page.matches("window.hostile").count() >= 5 * 2 && !page.contains("2.79.2")
        })
        .await;
    assert!(!page.contains("<img src=x") && !page.contains("<script>window"), "{page}");

    let browser = browser!("text of mail servers");
    browser.open(&service.url("/")).await;
    let places = [
        "document.querySelector('.attention').textContent",
        "document.querySelector('#target-the-cpanel .message').textContent",
        "document.querySelector('#target-the-ceymail .figures').textContent",
        "document.querySelector('#target-the-emailengine summary').textContent",
    ];
    for place in places {
        let text = browser.run(&format!("return {place}")).await;
        assert!(text.as_str().unwrap().contains(HOSTILE), "{place}: {text}");
    }
    assert_eq!(browser.run("return [window.hostile, document.querySelectorAll('#live img, #live script').length]").await, json!([null, 0]));
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_updates_itself_and_keeps_the_state_of_the_reader() {
    let browser = browser!("the page updates itself");
    let service = TestService::start().await;
    browser.open(&service.url("/")).await;
    browser.run("document.querySelector('#live').dataset.refreshSeconds = 0.2").await;
    // The reader closes the details of a target, scrolls, and focuses a link of another one.
    browser.run("document.querySelector('#target-the-cpanel').open = false; document.querySelector('#target-the-stalwart .links a').focus(); window.mark = document.activeElement; scrollTo({top: 700, behavior: 'instant'})").await;
    let scrolled = browser.run("return scrollY").await;
    let before = browser.run("return document.querySelector('#row-the-kumomta td.n span').textContent").await;
    service.server(System::Kumomta).respond_with(Some((503, "busy".to_owned())));
    browser.run("document.getElementById('refresh').click(); document.getElementById('refresh').click()").await;
    service.until_page_contains("2</b> down").await;
    browser
        .until(
            "the failure is shown without a reload",
            "return document.querySelector('#row-the-kumomta .state').innerText.trim() == 'down'",
        )
        .await;
    service.server(System::Kumomta).respond_with(None);
    service.until_page_contains("1</b> down").await;
    browser
        .until(
            "the recovery is shown without a reload",
            "return document.querySelector('#row-the-kumomta .state').innerText.trim() == 'up'",
        )
        .await;
    let after = browser.run("return document.querySelector('#row-the-kumomta td.n span').textContent").await;
    assert_eq!(after, before);
    let kept = "return [document.activeElement === window.mark && window.mark.isConnected, document.querySelector('#target-the-cpanel').open, document.querySelector('#target-the-stalwart').open]";
    assert_eq!(browser.run(kept).await, json!([true, false, true]));
    let moved = (browser.run("return scrollY").await.as_f64().unwrap() - scrolled.as_f64().unwrap()).abs();
    assert!(moved < 400.0, "the page jumped by {moved}");

    // The status shows a pause, and a Postmeter that does not respond.
    browser.run("document.getElementById('refresh').click()").await;
    assert_eq!(browser.run("return document.getElementById('refresh-state').textContent").await, "Paused");
    browser.run("document.getElementById('refresh').click()").await;
    service.end().await;
    browser
        .until(
            "the status shows that Postmeter does not respond",
            "return document.getElementById('refresh-state').textContent.startsWith('Postmeter does not respond')",
        )
        .await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_targets_are_filtered_sorted_and_polled_from_the_page() {
    let server = frozen_server(System::Kumomta).await;
    let of = |i: usize, url: &str| format!("  - {{name: mx{i:03}, system: kumomta, url: \"{url}\", min_interval: 1h, timeout: 60s}}\n");
    let targets: String = (0..300).map(|i| if i % 10 == 0 { of(i, &server.url()) } else { of(i, "http://127.0.0.1:1") }).collect();
    let service = TestService::with(vec![server], &targets, "", "").await;
    let page = service.until_page("300 targets", |page| page.contains("<b>30</b> up") && page.contains("<b>270</b> down")).await;
    assert!(page.len() < 1024 * 1024, "{} bytes", page.len());
    // The same error of all targets is one line, and the names in it lead to the targets.
    let attention = page.split("id=\"attention\"").nth(1).and_then(|rest| rest.split("</section>").next()).unwrap();
    assert_eq!(attention.matches("<li class=\"down\">").count(), 1, "{attention}");
    assert!(page.contains("<b>270 targets:</b>") && page.contains("and 258 more"), "{page}");

    let browser = browser!("hundreds of targets");
    browser.open(&service.url("/")).await;
    let rows = "return document.querySelectorAll('.targets tbody tr').length";
    assert_eq!(browser.run(rows).await, 300);
    browser.run("document.getElementById('health-filter').click()").await;
    browser.until("only unhealthy targets", &format!("{rows} == 270")).await;
    browser.run("const f = document.getElementById('filter'); f.focus(); f.value = 'mx251'; f.dispatchEvent(new Event('input', {bubbles: true}))").await;
    browser.until("the filtered target", &format!("{rows} == 1")).await;
    let state = browser.run("return [document.activeElement.id, document.getElementById('filter').value, location.search]").await;
    assert_eq!(state, json!(["filter", "mx251", "?only=unhealthy&filter=mx251"]));
    assert_eq!(browser.run("return document.getElementById('shown').textContent.trim()").await, "1 of 300 targets Show all");
    // The address has the filter, so that a reload shows the same targets.
    browser.open(&service.url("/?filter=mx25&sort=name")).await;
    let names = browser.run("return [...document.querySelectorAll('.targets tbody th a')].map(a => a.textContent)").await;
    assert_eq!(strings(&names), (250..260).map(|i| format!("mx{i:03}")).collect::<Vec<_>>());
    assert_eq!(browser.run("return document.querySelector('thead [aria-sort]').textContent").await, "Target");
    browser.open(&service.url("/?filter=nothing")).await;
    assert_eq!(browser.run("return document.getElementById('no-match').textContent").await, "No target matches nothing.");

    browser.open(&service.url("/?target=mx250")).await;
    browser.run("document.querySelector('[data-poll=mx250]').click()").await;
    let result =
        "const text = document.getElementById('refresh-state').textContent; return text.includes('polled') && !text.startsWith('Polling')";
    browser.until("the result of the poll", result).await;
    assert_eq!(browser.console().await.iter().filter(|line| !line.contains("502") && !line.contains("429")).count(), 0);
    browser.end().await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_complete_without_scripts() {
    let browser = browser!("the page without scripts");
    let service = TestService::start().await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.open(&service.url("/")).await;
    let document = browser.devtools("DOM.getDocument", json!({"depth": 0})).await;
    let html = browser.devtools("DOM.getOuterHTML", json!({"nodeId": document["root"]["nodeId"]})).await;
    let html = html["outerHTML"].as_str().unwrap();
    assert!(html.contains("id=\"row-the-kumomta\"") && html.contains("class=\"line\" d=\"M"), "{html}");
    assert!(html.contains("<button id=\"refresh\" type=\"button\" hidden"), "the button needs the script");
    assert!(html.contains("class=\"scripted\" type=\"search\"") && !html.contains("with-script"), "the filter is shown by the script");
    assert!(html.contains("href=\"./?only=unhealthy#targets\"") && html.contains("href=\"./?sort=queue#targets\""), "{html}");
    browser.end().await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_accessible_by_keyboard_in_both_themes_and_on_a_phone() {
    let browser = browser!("keyboard, contrast and width");
    let service = TestService::start().await;
    let long = "unbreakable".repeat(60);
    let json = json!({"metadata": {"command": "x", "reason": long, "result": 0, "version": 1}, "data": {}});
    service.server(System::Cpanel).respond_with(Some((200, json.to_string())));
    service.until_page_contains("2</b> down").await;
    let opened = "document.querySelectorAll('details').forEach(d => d.open = true);";

    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        browser.screen(1280, 900, false).await;
        browser.open(&service.url("/")).await;
        browser.run(opened).await;
        let found = browser.run(include_str!("page/contrast.js")).await;
        assert!(found["seen"].as_u64().unwrap() > 200, "{found}");
        assert_eq!(found["low"], json!([]), "{scheme}");
    }
    let dark = browser.run("return getComputedStyle(document.documentElement).backgroundColor").await;
    browser.scheme("light").await;
    assert_ne!(browser.run("return getComputedStyle(document.documentElement).backgroundColor").await, dark);

    // The tab key reaches every interactive element in document order, each with a visible focus.
    browser.open(&service.url("/")).await;
    let all = browser.run("window.all = [...document.querySelectorAll('a[href], button, input, summary')].filter(e => e.checkVisibility()); return window.all.length").await;
    let mut order = Vec::new();
    for _ in 0..all.as_u64().unwrap() {
        browser.press(&[TAB]).await;
        let at = browser
            .run("const e = document.activeElement; return [window.all.indexOf(e), parseFloat(getComputedStyle(e).outlineWidth)]")
            .await;
        assert!(at[1].as_f64().unwrap() >= 2.0, "the focus is not visible: {at}");
        order.push(at[0].as_u64().unwrap());
    }
    assert_eq!(order, (0..all.as_u64().unwrap()).collect::<Vec<_>>());
    browser.run("document.querySelector('#target-the-kumomta summary').focus()").await;
    let before = browser.run("return document.querySelector('#target-the-kumomta').open").await;
    browser.press(&[ENTER]).await;
    assert_ne!(browser.run("return document.querySelector('#target-the-kumomta').open").await, before);

    browser.screen(360, 740, true).await;
    browser.open(&service.url("/")).await;
    browser.run(opened).await;
    assert_eq!(browser.run("return [innerWidth, document.documentElement.scrollWidth]").await, json!([360, 360]));
    browser.end().await;
    service.end().await;
}
