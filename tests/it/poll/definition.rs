//! Settings of definitions that concern requests: the header of a credential, and diagnoses.

use crate::poll::common::{Log, SECRET, Server, environment, fails, has_no_secret, is_good, response, send};
use postmeter::config;
use postmeter::model::vocabulary::COMPLAINTS;
use postmeter::model::{Families, Repair};
use postmeter::poll::{Limits, Target};
use postmeter::source::{self, Condition, Credential, Diagnosis, Part, ReadError, Request, Rule, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static KEYED: Source = Source {
    diagnoses: &[Diagnosis {
        families: &["skipped_total"],
        when: &[],
        without: &[],
        condition: Condition::Rises,
        advice: "service {service} is not counted: set {service}",
    }],
    ..Source::new(
        "keyed",
        "Keyed",
        &[Part {
            credential: Credential::Header("X-API-Key"),
            rules: &[Rule::new(&["complaints"], &COMPLAINTS)],
            unauthorized_hint: "set token (or token_file)",
            ..Part::new("metrics", "", &[Request::get("text", "/metrics", read)])
        }],
    )
};

/// Both parts report complaints.
static TWO_PARTS: Source = Source::new(
    "pair",
    "Pair",
    &[
        Part { rules: &[Rule::new(&["complaints"], &COMPLAINTS)], ..Part::new("first", "", &[Request::get("text", "/first", read)]) },
        Part { rules: &[Rule::new(&["complaints"], &COMPLAINTS)], ..Part::new("second", "", &[Request::get("text", "/second", read)]) },
    ],
);

fn read(body: String) -> Result<Families, ReadError> {
    source::by_name("prometheus").unwrap().required().requests[0].read(body.as_bytes())
}

fn target(url: &str) -> Arc<Target> {
    let text = format!("targets: [{{name: t, system: keyed, url: '{url}', token: '${{env:SECRET}}'}}]");
    let mut config = config::parse_with(&[&KEYED], &text, "test.yaml", &environment(&[("SECRET", SECRET)])).unwrap();
    config.targets[0].min_interval = Duration::ZERO;
    Target::new(config.targets.remove(0), Limits::default()).unwrap()
}

#[tokio::test]
async fn an_invalid_value_makes_only_its_metric_unknown() {
    for (line, is_complete, has_all_series, unknown) in [
        ("complaints 5", true, true, &[][..]),
        ("complaints NaN", false, true, &[&COMPLAINTS]),
        ("complaints -5", false, true, &[&COMPLAINTS]),
        ("complaints{a=\"b\" 5", false, false, &[&COMPLAINTS]),
    ] {
        let page = format!("# TYPE complaints counter\n{line}\n# TYPE other counter\nother_total 1\n");
        let reading = target(&Server::always(response("200 OK", page)).await.url()).reading().await;
        is_good(&reading);
        assert_eq!((reading.is_complete(), reading.has_all_series()), (is_complete, has_all_series), "{line}");
        assert_eq!(reading.snapshot().unwrap().unknown_metrics, unknown, "{line}");
    }
}

#[tokio::test]
async fn a_sum_is_omitted_until_each_part_has_responded() {
    let is_down = Arc::new(AtomicBool::new(true));
    let is_second_down = is_down.clone();
    let server = Server::start(move |_, request| {
        let is_unavailable = request.contains(" /second") && is_second_down.load(Ordering::SeqCst);
        send(if is_unavailable {
            response("503 Service Unavailable", "")
        } else {
            response("200 OK", "# TYPE complaints counter\ncomplaints 7\n")
        })
    })
    .await;
    let text = format!("targets: [{{name: t, system: pair, url: '{}', parts: [second]}}]", server.url());
    let mut config = config::parse_with(&[&TWO_PARTS], &text, "test.yaml", &environment(&[])).unwrap();
    config.targets[0].min_interval = Duration::ZERO;
    let target = Target::new(config.targets.remove(0), Limits::default()).unwrap();
    let mut polled = Vec::new();
    for is_second_down in [true, false, false] {
        is_down.store(is_second_down, Ordering::SeqCst);
        let reading = target.reading().await;
        let snapshot = reading.snapshot().unwrap();
        let values: Vec<f64> = snapshot.points.iter().map(|point| point.value).collect();
        polled.push((values, snapshot.unknown_metrics.len(), snapshot.repairs.get(Repair::IncompleteSum)));
    }
    // All that the second part has counted would be an increase when it responds.
    assert_eq!(polled, [(vec![], 1, 1), (vec![14.0], 0, 0), (vec![14.0], 0, 0)]);
}

#[tokio::test]
async fn a_token_is_sent_in_the_header_of_the_definition() {
    let server = Server::start(|_, request| {
        let is_right = request.to_ascii_lowercase().contains(&format!("x-api-key: {SECRET}\r\n")) && !request.contains("authorization");
        send(if is_right { response("200 OK", "complaints 1\n") } else { response("401 Unauthorized", "") })
    })
    .await;
    is_good(&target(&server.url()).reading().await);
    let refusing = Server::always(response("200 OK", format!("# TYPE {SECRET} nothing\n"))).await;
    fails(&target(&refusing.url()), &target(&refusing.url()).reading().await, "malformed", "");
}

#[tokio::test]
async fn advice_is_logged_once_and_again_when_it_changes() {
    let log = Log::begin();
    let services = ["error", "error", "error", "relay", SECRET];
    let server = Server::start(move |nth, _| {
        let lines: String = services
            .iter()
            .take(nth + 1)
            .enumerate()
            .map(|(at, service)| format!("skipped_total{{service=\"{service}\",n=\"{at}\"}} 1\n"))
            .collect();
        send(response("200 OK", format!("complaints 1\n{lines}")))
    })
    .await;
    let target = target(&server.url());
    let error = "service error is not counted: set error".to_owned();
    let relay = "service relay is not counted: set relay".to_owned();
    let hidden = "service *** is not counted: set ***".to_owned();
    let mut logged = 0;
    for (poll, (expected, lines)) in [
        (vec![], 0),
        (vec![error.clone()], 1),
        (vec![error.clone()], 1),
        (vec![error.clone(), relay.clone()], 3),
        (vec![error, relay, hidden], 6),
    ]
    .into_iter()
    .enumerate()
    {
        let reading = target.reading().await;
        is_good(&reading);
        assert_eq!(reading.snapshot().unwrap().advice, expected, "poll {poll}");
        logged = log.lines().iter().filter(|line| line.contains("is not counted")).count();
        assert_eq!(logged, lines, "poll {poll}: {}", log.text());
    }
    assert_eq!(logged, 6);
    has_no_secret(&log.lines().concat());
}
