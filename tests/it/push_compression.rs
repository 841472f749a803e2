//! The compression of pushes by gRPC and HTTP: accepted, not supported by the receiver, split, and kept in a spool.
#![allow(clippy::unwrap_used)]

use crate::support::flat::{flatten, stale};
use crate::support::otlp_receiver::{Arrival, OtlpReceiver, Rejection, Rules};
use crate::support::program::Program;
use crate::support::spool::{compression_of, message_in, request_files};
use crate::support::{ANY, wait_until};
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

const WAIT_MAX: Duration = Duration::from_secs(30);
const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];

/// The program with one simulated server whose values do not change.
struct World {
    server: SimulatedServer,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let options = Options { frozen: true, ..Options::default() };
        Self { server: SimulatedServer::start(System::Ceymail, ANY, options).await.unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// Starts the program with these keys of `export.otlp`.
    fn run(&self, otlp: &str) -> Program {
        let config = format!(
            "targets: [{{name: cey, system: ceymail, url: \"{}\", token: {TOKEN}}}]\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{interval: 1s, retry: {{initial: 100ms, max: 500ms}}, {otlp}}}\n",
            self.server.url()
        );
        Program::spawn_with(self.folder.path(), &config, &[])
    }

    fn spool(&self) -> std::path::PathBuf {
        self.folder.path().join("spool")
    }
}

/// The series of the mail server in accepted requests, with their values.
fn series(receiver: &OtlpReceiver) -> BTreeMap<String, String> {
    let points = flatten(&receiver.metrics()).into_iter().filter(|point| point.metric.starts_with("mail.") && !stale(point));
    points.map(|point| (format!("{} {:?}", point.metric, point.attributes), point.value.to_string())).collect()
}

async fn wait_for(receiver: &OtlpReceiver, requests: usize) {
    wait_until(|| receiver.accepted().len() >= requests, WAIT_MAX, "requests are accepted").await;
}

fn compressions(arrivals: &[Arrival]) -> Vec<&str> {
    arrivals.iter().map(|arrival| arrival.compression.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_compression_carries_the_same_series_by_each_protocol() {
    let world = World::start().await;
    for is_grpc in [true, false] {
        let mut expected = None;
        for compression in COMPRESSIONS {
            let receiver = OtlpReceiver::start(is_grpc, Rules::all()).await;
            let program = world.run(&format!("{}, compression: {compression}", receiver.config()));
            wait_for(&receiver, 2).await;
            program.end();
            let arrivals = receiver.arrivals();
            assert_eq!(compressions(&arrivals).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([compression]));
            let message = arrivals[0].message.as_ref().unwrap();
            let is_shorter = arrivals[0].bytes.len() < message.len() / 2;
            assert_eq!(is_shorter, compression != "none", "{compression}: {} of {}", arrivals[0].bytes.len(), message.len());
            let series = series(&receiver);
            assert!(series.len() > 20, "{series:?}");
            assert_eq!(&series, expected.get_or_insert(series.clone()), "{compression}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_is_the_default() {
    let world = World::start().await;
    for is_grpc in [true, false] {
        let receiver = OtlpReceiver::start(is_grpc, Rules::all()).await;
        let program = world.run(&receiver.config());
        wait_for(&receiver, 1).await;
        program.end();
        assert_eq!(receiver.arrivals()[0].compression, "gzip");
    }
}

/// Runs the program with zstd until requests are accepted; returns the compressions of all requests, and the log.
async fn compressions_with(is_grpc: bool, rules: Rules) -> (Vec<String>, Vec<String>) {
    let world = World::start().await;
    let receiver = OtlpReceiver::start(is_grpc, rules).await;
    let program = world.run(&format!("{}, compression: zstd", receiver.config()));
    wait_for(&receiver, 3).await;
    let log = program.end();
    assert!(log.iter().all(|line| !line.contains("lost") && !line.contains("failed")), "nothing is lost: {log:#?}");
    assert!(series(&receiver).len() > 20);
    (receiver.arrivals().into_iter().map(|arrival| arrival.compression).collect(), log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_without_zstd_gets_gzip_from_the_second_request_on() {
    for (is_grpc, rejection) in [
        (true, Rejection(12, "grpc: Decompressor is not installed for grpc-encoding \"zstd\"")),
        (true, Rejection(12, "Unsupported grpc-encoding value 'zstd'")),
        (false, Rejection(415, "unsupported Content-Encoding")),
        (false, Rejection(400, "proto: cannot parse invalid wire-format data")),
    ] {
        let (compressions, log) = compressions_with(is_grpc, Rules::supporting(&["gzip"], rejection)).await;
        assert_eq!(compressions[0], "zstd", "{rejection:?}");
        assert!(compressions[1..].iter().all(|compression| compression == "gzip"), "{rejection:?}: {compressions:?}");
        let logged = log.iter().filter(|line| line.contains("the receiver does not support zstd, requests are compressed with gzip"));
        assert_eq!(logged.count(), 1, "{rejection:?}: {log:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_without_any_compression_gets_uncompressed_requests() {
    for (is_grpc, rejection) in [(true, Rejection(12, "grpc: Decompressor is not installed")), (false, Rejection(415, ""))] {
        let (compressions, log) = compressions_with(is_grpc, Rules::supporting(&[], rejection)).await;
        assert_eq!(compressions[..3], ["zstd", "gzip", "none"], "{rejection:?}");
        assert!(compressions[3..].iter().all(|compression| compression == "none"), "{rejection:?}: {compressions:?}");
        let logged = log.iter().filter(|line| line.contains("the receiver does not support"));
        assert_eq!(logged.count(), 1, "{rejection:?}: {log:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_rejected_with_every_compression_changes_nothing() {
    let world = World::start().await;
    for is_grpc in [true, false] {
        let receiver = OtlpReceiver::start(is_grpc, Rules::all()).await;
        let failure = if is_grpc { Rejection(12, "unknown service") } else { Rejection(400, "a required attribute is missing") };
        receiver.set_rules(Rules { failure: Some(failure), ..Rules::all() });
        let program = world.run(&format!("{}, compression: zstd", receiver.config()));
        wait_until(|| receiver.arrivals().len() >= 4, WAIT_MAX, "two requests are rejected").await;
        assert_eq!(compressions(&receiver.arrivals())[..4], ["zstd", "gzip", "zstd", "gzip"]);
        receiver.set_rules(Rules::all());
        wait_for(&receiver, 1).await;
        receiver.set_rules(Rules { failure: Some(failure), ..Rules::all() });
        receiver.clear();
        wait_until(|| receiver.arrivals().len() >= 2, WAIT_MAX, "further requests are rejected").await;
        let log = program.end();
        let compressions = receiver.arrivals().into_iter().map(|arrival| arrival.compression).collect::<BTreeSet<_>>();
        assert_eq!(compressions.into_iter().collect::<Vec<_>>(), ["zstd"], "zstd was accepted before: {log:#?}");
        assert!(log.iter().all(|line| !line.contains("does not support")), "{log:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_request_that_is_too_large_are_compressed_anew() {
    const BYTES_MAX: usize = 4000;
    let world = World::start().await;
    for is_grpc in [true, false] {
        let mut expected = None;
        for compression in COMPRESSIONS {
            let receiver = OtlpReceiver::start(is_grpc, Rules { bytes_max: BYTES_MAX, ..Rules::all() }).await;
            let program = world.run(&format!("{}, compression: {compression}", receiver.config()));
            let has_all = || expected.as_ref().is_some_and(|expected| &series(&receiver) == expected) || receiver.accepted().len() > 20;
            wait_until(has_all, WAIT_MAX, "all parts are accepted").await;
            let log = program.end();
            let arrivals = receiver.arrivals();
            assert!(arrivals[0].message.as_ref().unwrap().len() > BYTES_MAX && !arrivals[0].is_accepted);
            assert!(arrivals.iter().all(|arrival| arrival.compression == compression), "{:?}", compressions(&arrivals));
            assert!(log.iter().all(|line| !line.contains("lost")), "{log:#?}");
            let series = series(&receiver);
            assert_eq!(&series, expected.get_or_insert(series.clone()), "{compression}");
        }
    }
}

/// Rejected points of a compressed response are counted: the response was read.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_responses_are_read() {
    let world = World::start().await;
    for compression in COMPRESSIONS {
        let receiver = OtlpReceiver::start(true, Rules { rejected_points: 1, ..Rules::all() }).await;
        let program = world.run(&format!("{}, compression: {compression}", receiver.config()));
        wait_for(&receiver, 2).await;
        wait_until(|| program.log().iter().any(|line| line.contains("rejected some metrics")), WAIT_MAX, "the response is read").await;
        let log = program.end();
        assert!(log.iter().all(|line| !line.contains("cannot be decoded")), "{compression}: {log:#?}");
    }
}

/// Fills a spool, and returns its files with their contents.
async fn filled_spool(world: &World, receiver: &OtlpReceiver, compression: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let busy = if receiver.config().contains("grpc") { Rejection(14, "busy") } else { Rejection(503, "busy") };
    receiver.set_rules(Rules { failure: Some(busy), ..Rules::all() });
    let program = world.run(&spooling(world.spool().as_path(), receiver, compression));
    wait_until(|| request_files(&world.spool()).len() >= 3, WAIT_MAX, "requests are in the spool").await;
    program.end();
    let files = request_files(&world.spool()).into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect::<Vec<_>>();
    assert!(files.iter().all(|(_, content)| compression_of(content) == compression));
    receiver.clear();
    receiver.set_rules(Rules::all());
    files
}

fn spooling(spool: &Path, receiver: &OtlpReceiver, compression: &str) -> String {
    format!("{}, compression: {compression}, spool: {{dir: \"{}\"}}", receiver.config(), spool.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_spool_are_sent_as_they_are_stored_or_as_configured_now() {
    for is_grpc in [true, false] {
        for (before, after) in [("zstd", "zstd"), ("gzip", "gzip"), ("zstd", "gzip"), ("gzip", "none"), ("none", "zstd")] {
            let world = World::start().await;
            let receiver = OtlpReceiver::start(is_grpc, Rules::all()).await;
            let files = filled_spool(&world, &receiver, before).await;
            let program = world.run(&spooling(&world.spool(), &receiver, after));
            wait_for(&receiver, files.len()).await;
            program.end();
            for ((_, content), arrival) in files.iter().zip(receiver.accepted()) {
                assert_eq!(arrival.compression, after, "stored as {before}");
                assert_eq!(arrival.message.unwrap(), message_in(content).unwrap(), "{before}, {after}");
                assert!(before != after || content.ends_with(&arrival.bytes), "the stored bytes are sent");
            }
            assert_eq!(request_files(&world.spool()).len(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_compressed_requests_are_not_sent() {
    for compression in ["gzip", "zstd"] {
        let world = World::start().await;
        let receiver = OtlpReceiver::start(false, Rules::all()).await;
        let files = filled_spool(&world, &receiver, compression).await;
        let (file, content) = &files[1];
        let mut damaged = content.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        std::fs::write(file, &damaged).unwrap();
        let program = world.run(&spooling(&world.spool(), &receiver, compression));
        wait_for(&receiver, files.len()).await;
        let log = program.end();
        let accepted: Vec<_> = receiver.accepted().into_iter().map(|arrival| arrival.bytes).collect();
        assert!(!accepted.iter().any(|bytes| damaged.ends_with(bytes) || content.ends_with(bytes)), "{compression}");
        assert!(log.iter().any(|line| line.contains("a request in the spool is damaged and not sent")), "{log:#?}");
        assert!(world.spool().join("otlp-metrics/damaged").join(file.file_name().unwrap()).exists());
    }
}
