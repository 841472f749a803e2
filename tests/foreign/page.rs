//! The page, as a browser shows it: stand-ins for mail servers on one side, a real Chromium on the other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;

use crate::support::skipped;
use browser::Browser;
use postmeter::app::Service;
use postmeter::config::{self, Environment};
use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use postmeter::telemetry::SelfTelemetry;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SOON: Duration = Duration::from_secs(20);
const TAB: char = '\u{E004}';
const ENTER: char = '\u{E007}';
/// What a mail server could say to get at the reader of the page.
const HOSTILE: &str = "<img src=x onerror='window.hostile=1'><script>window.hostile=1</script>\"'>&amp;";

struct World {
    stand_ins: Vec<SimulatedServer>,
    service: Service,
}

impl World {
    /// Stand-ins of all systems, polled once; and a target that nobody answers for.
    async fn start() -> Self {
        let mut stand_ins = Vec::new();
        for system in System::ALL {
            stand_ins.push(SimulatedServer::start(system, ANY, Options { frozen: true, ..Options::default() }).await.unwrap());
        }
        let mut targets: String = stand_ins.iter().map(target).collect();
        targets += "  - {name: gone, system: kumomta, url: \"http://127.0.0.1:1\"}\n";
        let world = Self::of(stand_ins, &targets).await;
        world.scrape().await;
        world
    }

    async fn of(stand_ins: Vec<SimulatedServer>, targets: &str) -> Self {
        Self::with(stand_ins, targets, "", "").await
    }

    async fn with(stand_ins: Vec<SimulatedServer>, targets: &str, export: &str, pull: &str) -> Self {
        let file = format!(
            "defaults: {{min_interval: 1s, timeout: 5s}}\ntargets:\n{targets}export: {{{export}prometheus: {{listen: \"127.0.0.1:0\"{pull}}}}}\n"
        );
        let config = config::parse(&file, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
        let service = Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap();
        Self { stand_ins, service }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address.unwrap())
    }

    fn of_system(&self, system: System) -> &SimulatedServer {
        self.stand_ins.iter().find(|stand_in| stand_in.system() == system).unwrap()
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::Client::new().get(self.url(path)).send().await.unwrap()
    }

    /// Polls all targets that are due.
    async fn scrape(&self) {
        assert_eq!(self.get("/metrics").await.status(), 200);
    }

    /// Scrapes until the page says this.
    async fn says(&self, wanted: &str) -> String {
        self.shows(wanted, |page| page.contains(wanted)).await
    }

    /// Scrapes until the page is like this.
    async fn shows(&self, what: &str, like: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            self.scrape().await;
            let page = self.get("/").await.text().await.unwrap();
            if like(&page) {
                return page;
            }
            assert!(began.elapsed() < SOON, "the page does not show {what}:\n{page}");
        }
    }

    async fn end(self) {
        self.service.stop().await;
        for stand_in in self.stand_ins {
            stand_in.shutdown().await;
        }
    }
}

fn target(stand_in: &SimulatedServer) -> String {
    let rest = match stand_in.system() {
        System::Cpanel => "parts: {fetch_mail_queue: {}, servicestatus: {}, version: {}}".to_owned(),
        system => system.parts_key(""),
    };
    let (name, credentials) = (stand_in.system().name(), stand_in.system().credential_keys());
    format!("  - {{name: the-{name}, system: {name}, url: \"{}\", {credentials}{rest}}}\n", stand_in.url())
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// A browser, or a plain word and nothing.
macro_rules! browser {
    ($test:literal) => {
        match Browser::start().await {
            Ok(browser) => browser,
            Err(why) => return skipped($test, &why),
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_guarded_and_small() {
    let world = World::start().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = world.get(path).await;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!((answer.status().as_u16(), header("content-type").as_str()), (200, kind), "{path}");
        assert_eq!((header("x-content-type-options").as_str(), header("referrer-policy").as_str()), ("nosniff", "no-referrer"), "{path}");
        let head = reqwest::Client::new().head(world.url(path)).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.headers()["content-type"].to_str().unwrap()), (200, kind), "HEAD {path}");
        assert_eq!(head.text().await.unwrap(), "", "HEAD {path}");
    }
    let answer = world.get("/").await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for rule in
        ["default-src 'none'", "style-src 'self'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]
    {
        assert!(policy.split(';').any(|said| said.trim() == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = answer.text().await.unwrap();
    assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains("http://"), "{page}");
    // What the page names is there.
    let (_, footer) = page.split_once("<footer>").unwrap();
    let links: Vec<&str> = footer.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for link in ["metrics", "metrics.json", "targets.json", "sd", "-/ready", "-/healthy"] {
        assert!(links.contains(&link), "{link}: {links:?}");
    }
    for link in links {
        assert_eq!(world.get(&format!("/{link}")).await.status(), 200, "{link}");
    }
    let only = world.get("/?target=the-kumomta").await.text().await.unwrap();
    assert!(only.contains("target-the-kumomta") && !only.contains("target-the-cpanel"));
    assert_eq!(world.get("/?target=nobody").await.status(), 404);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_push_is_told_with_what_waits() {
    let receiver = Receiver::start(ANY).await.unwrap();
    let stand_in = SimulatedServer::start(System::Kumomta, ANY, Options { frozen: true, ..Options::default() }).await.unwrap();
    let targets = target(&stand_in);
    let export = format!("otlp: {{endpoint: \"{}\", interval: 1s, retry: {{initial: 100ms, max: 100ms}}}}, ", receiver.url());
    let world = World::with(vec![stand_in], &targets, &export, "").await;
    world.says("points so far").await;
    receiver.fail_with(Some(tonic::Status::unavailable(HOSTILE)));
    let page = world.says("tried again").await;
    assert!(!page.contains("<img src=x") && page.contains("window.hostile"), "{page}");
    receiver.fail_with(None);
    world.shows("a push that works", |page| !page.contains("tried again") && page.contains("empty")).await;
    world.end().await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_told_with_their_last_use_and_without_themselves() {
    const TOKEN_SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let targets = "  - {name: gone, system: kumomta, url: \"http://127.0.0.1:1\"}\n";
    let tokens = format!(
        "[{{name: reader, sha256: {TOKEN_SHA256}}}, {{name: former, sha256: {}, expires: 2020-01-31}}]",
        TOKEN_SHA256.replace('9', "8")
    );
    let world = World::with(Vec::new(), targets, "", &format!(", auth: {{tokens: {tokens}}}")).await;
    assert_eq!(world.get("/").await.status(), 401);
    let request = reqwest::Client::new().get(world.url("/")).bearer_auth("test");
    let page = request.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("reader") && page.contains("former") && page.contains("expired") && page.contains("just now"), "{page}");
    assert!(!page.contains(TOKEN_SHA256), "not even the hash");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_targets_are_one_page() {
    let targets: String = (0..1000).map(|i| format!("  - {{name: t{i}, system: kumomta, url: \"http://127.0.0.1:1\"}}\n")).collect();
    let world = World::of(Vec::new(), &targets).await;
    let page = world.says("<title>1000 down").await;
    assert!(page.contains("row-t999") && page.contains("?target=t999") && !page.contains("target-t999"));
    assert!(page.len() < 2 * 1024 * 1024, "{} bytes", page.len());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_shown_and_the_browser_complains_of_nothing() {
    let browser = browser!("the page with its targets");
    let world = World::start().await;
    // Rates need a second reading.
    world.of_system(System::Kumomta).traffic(|traffic| traffic.delivered += 60);
    world
        .shows("rates of four systems", |page| page.matches("Delivered").count() > 4 && page.matches("class=\"unit\">/min").count() > 20)
        .await;
    browser.open(&world.url("/")).await;
    let rows = browser.run("return [...document.querySelectorAll('.targets tbody tr')].map(r => r.cells[1].querySelector('a').textContent + ' ' + r.cells[0].innerText.trim())").await;
    let expected = ["gone down", "the-cpanel up", "the-ceymail up", "the-kumomta up", "the-stalwart up", "the-emailengine up"];
    assert_eq!(strings(&rows), expected, "failures first, then as configured");
    let queue = world.of_system(System::Kumomta).traffic(|traffic| traffic.scheduled() + traffic.ready());
    let shown = browser.run("return document.querySelector('#row-the-kumomta td.n span').textContent").await;
    assert_eq!(shown.as_str().unwrap().replace(',', ""), queue.to_string());
    let said = browser.run("return document.querySelector('.attention').innerText").await;
    assert!(said.as_str().unwrap().contains("check the url, and that the server runs"), "{said}");
    let undrawn = browser.run("return [...document.querySelectorAll('details:not(#target-gone) figure')].filter(f => !f.querySelector('.line').getAttribute('d') && !f.querySelector('.value .muted')).map(f => f.innerText)").await;
    assert_eq!(undrawn, json!([]), "each figure has a plot");
    assert!(browser.run("return document.querySelectorAll('details figure').length").await.as_u64().unwrap() > 25);
    assert_eq!(browser.run("return document.title").await, "1 down · Postmeter");
    let headings = browser.run("return [...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => h.localName)").await;
    let levels: Vec<u32> = strings(&headings).iter().map(|name| name[1..].parse().unwrap()).collect();
    assert!(levels.first() == Some(&1) && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    let unlabelled = browser.run("return [...document.querySelectorAll('thead th, tbody th')].filter(th => !th.scope).length + document.querySelectorAll('svg[role=img]:not([aria-label])').length").await;
    assert_eq!(unlabelled, 0);
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mail_servers_say_stays_words() {
    let world = World::start().await;
    let json = json!({"metadata": {"command": "emailtrack_user_stats", "reason": HOSTILE, "result": 0, "version": 1}, "data": {}});
    world.of_system(System::Cpanel).respond_with(Some((200, json.to_string())));
    let quoted = HOSTILE.replace('\\', "\\\\").replace('"', "\\\"");
    let version = format!("# TYPE emailengine_config gauge\nemailengine_config{{version=\"{quoted}\"}} 1\n");
    world.of_system(System::Emailengine).respond_with(Some((200, version)));
    let service = format!("# TYPE ceymail_service_up gauge\nceymail_service_up{{name=\"{quoted}\"}} 0\nceymail_queue_active 1\n");
    world.of_system(System::Ceymail).respond_with(Some((200, service)));
    // Told at the top, with the target and as its last error; the name of a service; a version.
    let page = world.shows("hostile words", |page| page.matches("window.hostile").count() >= 5 * 2).await;
    assert!(!page.contains("<img src=x") && !page.contains("<script>window"), "{page}");

    let browser = browser!("what mail servers say");
    browser.open(&world.url("/")).await;
    let places = [
        "document.querySelector('.attention').textContent",
        "document.querySelector('#target-the-cpanel .said').textContent",
        "document.querySelector('#target-the-ceymail .figures').textContent",
        "document.querySelector('#target-the-emailengine summary').textContent",
    ];
    for place in places {
        let said = browser.run(&format!("return {place}")).await;
        assert!(said.as_str().unwrap().contains(HOSTILE), "{place}: {said}");
    }
    assert_eq!(browser.run("return [window.hostile, document.querySelectorAll('#live img, #live script').length]").await, json!([null, 0]));
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_renews_itself_and_leaves_the_reader_alone() {
    let browser = browser!("the page renews itself");
    let world = World::start().await;
    browser.open(&world.url("/")).await;
    browser.run("document.querySelector('#live').dataset.refreshSeconds = 0.2").await;
    // A reader closes one target, scrolls, and has the focus on a link of another.
    browser.run("document.querySelector('#target-the-cpanel').open = false; document.querySelector('#target-the-stalwart .links a').focus(); window.mark = document.activeElement; scrollTo({top: 700, behavior: 'instant'})").await;
    let scrolled = browser.run("return scrollY").await;
    let before = browser.run("return document.querySelector('#row-the-kumomta td.n span').textContent").await;
    world.of_system(System::Kumomta).respond_with(Some((503, "busy".to_owned())));
    browser.run("document.getElementById('refresh').click(); document.getElementById('refresh').click()").await;
    world.says("2</b> down").await;
    browser
        .until("the failure arrives by itself", "return document.querySelector('#row-the-kumomta .state').innerText.trim() == 'down'")
        .await;
    world.of_system(System::Kumomta).respond_with(None);
    world.says("1</b> down").await;
    browser.until("the recovery, too", "return document.querySelector('#row-the-kumomta .state').innerText.trim() == 'up'").await;
    let after = browser.run("return document.querySelector('#row-the-kumomta td.n span').textContent").await;
    assert_eq!(after, before);
    let kept = "return [document.activeElement === window.mark && window.mark.isConnected, document.querySelector('#target-the-cpanel').open, document.querySelector('#target-the-stalwart').open]";
    assert_eq!(browser.run(kept).await, json!([true, false, true]));
    let moved = (browser.run("return scrollY").await.as_f64().unwrap() - scrolled.as_f64().unwrap()).abs();
    assert!(moved < 400.0, "the page jumped by {moved}");

    // Paused, nothing changes; and it says so when nobody answers.
    browser.run("document.getElementById('refresh').click()").await;
    assert_eq!(browser.run("return document.getElementById('refresh-state').textContent").await, "Paused");
    browser.run("document.getElementById('refresh').click()").await;
    world.end().await;
    browser
        .until("nobody answers", "return document.getElementById('refresh-state').textContent.startsWith('Postmeter does not answer')")
        .await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_whole_without_scripts() {
    let browser = browser!("the page without scripts");
    let world = World::start().await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.open(&world.url("/")).await;
    let document = browser.devtools("DOM.getDocument", json!({"depth": 0})).await;
    let html = browser.devtools("DOM.getOuterHTML", json!({"nodeId": document["root"]["nodeId"]})).await;
    let html = html["outerHTML"].as_str().unwrap();
    assert!(html.contains("id=\"row-the-kumomta\"") && html.contains("class=\"line\" d=\"M"), "{html}");
    assert!(html.contains("<button id=\"refresh\" type=\"button\" hidden"), "no button that does nothing");
    browser.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_read_by_keyboard_in_both_themes_and_on_a_phone() {
    let browser = browser!("keyboard, contrast and width");
    let world = World::start().await;
    let long = "unbreakable".repeat(60);
    let json = json!({"metadata": {"command": "x", "reason": long, "result": 0, "version": 1}, "data": {}});
    world.of_system(System::Cpanel).respond_with(Some((200, json.to_string())));
    world.says("2</b> down").await;
    let opened = "document.querySelectorAll('details').forEach(d => d.open = true);";

    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        browser.screen(1280, 900, false).await;
        browser.open(&world.url("/")).await;
        browser.run(opened).await;
        let found = browser.run(include_str!("page/contrast.js")).await;
        assert!(found["seen"].as_u64().unwrap() > 200, "{found}");
        assert_eq!(found["low"], json!([]), "{scheme}");
    }
    let dark = browser.run("return getComputedStyle(document.documentElement).backgroundColor").await;
    browser.scheme("light").await;
    assert_ne!(browser.run("return getComputedStyle(document.documentElement).backgroundColor").await, dark);

    // All that can be reached is reached, in the order of the document, and shows that it is.
    browser.open(&world.url("/")).await;
    let all = browser.run("window.all = [...document.querySelectorAll('a[href], button, summary')].filter(e => e.checkVisibility()); return window.all.length").await;
    let mut order = Vec::new();
    for _ in 0..all.as_u64().unwrap() {
        browser.press(&[TAB]).await;
        let at = browser
            .run("const e = document.activeElement; return [window.all.indexOf(e), parseFloat(getComputedStyle(e).outlineWidth)]")
            .await;
        assert!(at[1].as_f64().unwrap() >= 2.0, "the focus cannot be seen: {at}");
        order.push(at[0].as_u64().unwrap());
    }
    assert_eq!(order, (0..all.as_u64().unwrap()).collect::<Vec<_>>());
    browser.run("document.querySelector('#target-the-kumomta summary').focus()").await;
    let before = browser.run("return document.querySelector('#target-the-kumomta').open").await;
    browser.press(&[ENTER]).await;
    assert_ne!(browser.run("return document.querySelector('#target-the-kumomta').open").await, before);

    browser.screen(360, 740, true).await;
    browser.open(&world.url("/")).await;
    browser.run(opened).await;
    assert_eq!(browser.run("return [innerWidth, document.documentElement.scrollWidth]").await, json!([360, 360]));
    browser.end().await;
    world.end().await;
}
