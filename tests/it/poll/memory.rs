//! The memory that a reading uses until the next one.

use crate::poll::common::{Log, Server, configured, environment, gzip, is_good, response, value};
use postmeter::poll::{Limits, Target};
use std::fmt::Write;
use std::sync::Arc;

fn target(server: &Server, keys: &str, limits: &Limits) -> Arc<Target> {
    let keys = format!("system: prometheus, url: '{}', timeout: 60s{keys}", server.url());
    Target::new(configured(&keys, &environment(&[])), limits.clone()).unwrap()
}

/// A server that responds with this body.
async fn server(body: &str) -> Server {
    Server::always(response("200 OK\r\nContent-Encoding: gzip", gzip(body.as_bytes()))).await
}

const SERIES: &str = "# TYPE wanted gauge\nwanted{l=\"1\"} 7\n";

#[tokio::test]
async fn a_large_response_of_which_little_is_used_needs_little_memory() {
    let comments = format!("{SERIES}{}", "# nothing\n".repeat(100_000));
    let blank = format!("{SERIES}{}", "\n".repeat(2_000_000));
    let mut others = SERIES.to_owned();
    (0..20_000).for_each(|n| writeln!(others, "other{{name=\"a-label-of-some-length-{n}\"}} {n}").unwrap());
    let excluded = ", relay: {exclude: ['other']}";
    for (body, keys) in [(&comments, ""), (&blank, ""), (&others, excluded)] {
        let limits = Limits::default();
        let server = server(body).await;
        let targets: Vec<_> = (0..3).map(|_| target(&server, keys, &limits)).collect();
        let mut readings = Vec::new();
        for target in &targets {
            let reading = target.reading().await;
            is_good(&reading);
            assert_eq!(reading.native.family(0).samples().next().unwrap().number(), Some(7.0));
            readings.push(reading);
        }
        let bytes = limits.usage().readings_bytes;
        assert!((1..8192).contains(&bytes), "{bytes} bytes are kept of three bodies of {}", body.len());
        drop((targets, readings));
        assert_eq!(limits.usage().readings_bytes, 0);
    }
}

#[tokio::test]
async fn readings_of_all_targets_stay_below_the_memory_limit() {
    let log = Log::begin();
    let body: String = (0..1000).fold(String::new(), |mut body, n| {
        writeln!(body, "a{{l=\"{n}\"}} {n}").unwrap();
        body
    });
    let server = server(&body).await;
    let alone = Limits::default();
    is_good(&target(&server, "", &alone).reading().await);
    let first = target(&server, "", &alone);
    first.reading().await;
    let limits = Limits::default().with_readings_bytes_max(first.usage().readings_bytes);
    let (kept, refused) = (target(&server, "", &limits), target(&server, "", &limits));
    let reading = kept.reading().await;
    assert_eq!(value(&reading, "postmeter.poll.series", &["kept"]), Some(1000.0));
    for _ in 0..2 {
        let reading = refused.reading().await;
        is_good(&reading);
        assert!(reading.native.is_empty() && !reading.is_complete());
        let series = |state| value(&reading, "postmeter.poll.series", &[state]);
        assert_eq!((series("kept"), series("dropped")), (Some(0.0), Some(1000.0)));
    }
    assert_eq!(limits.usage().readings_without_native, 2);
    // A reading is replaced only after the next one is complete, so its memory is free only then.
    drop((kept, reading));
    is_good(&refused.reading().await);
    assert_eq!(refused.latest().unwrap().native.kept, 1000);
    let lines: Vec<_> = log.lines().into_iter().filter(|line| line.contains("native metrics")).collect();
    assert!(lines.len() == 2 && lines[0].contains("WARN") && lines[1].contains("INFO"), "{lines:?}");
}
