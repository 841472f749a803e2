//! The hot loops for a large server: read a body, select families, write the exposition, encode OTLP. Their results are checked.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use postmeter::export::SeriesState;
use postmeter::export::otlp::{LogsEncoder, REQUEST_BYTES_MAX};
use postmeter::model::{EnhancedStatus, Field, Outcome, Record, RecordUid, Reply};
use postmeter::simulate::{Delivery, Hook};
use postmeter::source::VerificationKey;
use postmeter::telemetry::{DeliveryMetrics, Identity};
use postmeter::{delivery_log, source};
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

fn hot_loops(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("series");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for series in SIZES {
        group.throughput(Throughput::Elements(series as u64));
        for (format, body) in [("json", common::json(series)), ("text", common::text(series))] {
            common::check(&common::choose(common::read(format, body.clone())), series);
            group.bench_function(BenchmarkId::new(format!("read_{format}"), series), |bencher| {
                bencher.iter_batched(|| body.clone(), |body| common::read(format, body), BatchSize::PerIteration);
            });
        }
        let body = common::json(series);
        group.bench_function(BenchmarkId::new("choose", series), |bencher| {
            bencher.iter_batched(|| common::read("json", body.clone()), common::choose, BatchSize::PerIteration);
        });
        let native = Arc::new(common::choose(common::read("json", body.clone())));
        let bytes = common::expose(&native).0;
        assert!(bytes > series * 60);
        group.bench_function(BenchmarkId::new("expose", series), |bencher| {
            bencher.iter(|| assert_eq!(black_box(common::expose(&native)).0, bytes));
        });
        // Two readings of the same series, as of consecutive polls.
        let readings = [0, 1].map(|second| {
            let native = Arc::new(common::choose(common::read("json", body.clone())));
            common::reading(native, second)
        });
        let mut state = SeriesState::default();
        let mut iteration = 0;
        group.bench_function(BenchmarkId::new("push", series), |bencher| {
            bencher.iter(|| {
                iteration += 1;
                let mut reading = readings[iteration % 2].clone();
                reading.at += Duration::from_secs(iteration as u64);
                assert_eq!(common::push(&reading, &mut state).0 as usize, series / 2 * 2 + 1);
            });
        });
    }
    group.finish();
}

/// Records of a page of WHM's delivery log.
const PAGE_RECORDS: usize = 5_000;

/// From the bytes of a page to the bytes of OTLP requests: read, deduplicate, hash, encode.
fn delivery_log(criterion: &mut Criterion) {
    let body = common::deliveries(PAGE_RECORDS).into_bytes();
    let records = source::by_name("cpanel").unwrap().delivery_log.unwrap();
    let state = tempfile::tempdir().unwrap();
    let key = delivery_log::hash_key(state.path()).unwrap();
    let encoder = LogsEncoder::new("cpanel", key.clone(), Vec::new());
    let identity = Identity::new("cpanel", "whm1");
    let mut group = criterion.benchmark_group("delivery_log");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).throughput(Throughput::Elements(PAGE_RECORDS as u64));
    group.bench_function("read", |bencher| {
        bencher.iter_batched(
            || body.clone(),
            |body| assert_eq!(records.read(body).unwrap().records.len(), PAGE_RECORDS),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("page", |bencher| {
        let page = |body| {
            let (mut scratch, mut seen) = (Vec::new(), HashSet::new());
            let page = records.read(body).unwrap().records.into_iter();
            let page: Vec<_> = page.map(|record| (key.uid(&record, &mut scratch), record)).filter(|(uid, _)| seen.insert(*uid)).collect();
            let requests = encoder.requests(&identity, &page, 1, REQUEST_BYTES_MAX);
            assert_eq!(requests.iter().map(|request| request.points).sum::<u64>(), PAGE_RECORDS as u64);
            requests
        };
        bencher.iter_batched(|| body.clone(), page, BatchSize::PerIteration);
    });
    group.finish();
}

/// Records of a body that a mail system sends, from its bytes to the bytes of OTLP requests: verify, read, hash, encode.
fn hook(criterion: &mut Criterion) {
    let state = tempfile::tempdir().unwrap();
    let key = delivery_log::hash_key(state.path()).unwrap();
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let deliveries: Vec<_> = (0..HOOK_RECORDS as u64).map(|id| Delivery::nth(id, seconds - id)).collect();
    let mut group = criterion.benchmark_group("hook");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).throughput(Throughput::Elements(HOOK_RECORDS as u64));
    for (system, signing_key) in common::signed_hooks() {
        let hook = source::by_name(system.name()).unwrap().hook.unwrap();
        let verification = signing_key.as_ref().zip(hook.signature);
        let verification = verification.map(|(key, scheme)| (scheme, VerificationKey::parse(scheme, &key.verification_key()).unwrap()));
        let requests = system.requests(&Hook { signing_key, ..Hook::new(String::new()) }, &deliveries);
        let requests: Vec<_> = requests.iter().map(|request| (common::headers(&request.headers), request.body.as_bytes())).collect();
        let encoder = LogsEncoder::new(system.name(), key.clone(), Vec::new());
        let identity = Identity::new(system.name(), "mta1");
        group.bench_function(system.name(), |bencher| {
            bencher.iter(|| {
                let mut encoded = 0;
                for (headers, body) in &requests {
                    if let Some((scheme, key)) = &verification {
                        scheme.verify(key, headers, body, now).unwrap();
                    }
                    let page = hook.read(black_box(body), now);
                    let records: Vec<_> = page.records.into_iter().map(|found| (key.uid_of(&found.identity), found.record)).collect();
                    encoded +=
                        encoder.requests(&identity, &records, 1, REQUEST_BYTES_MAX).iter().map(|request| request.points).sum::<u64>();
                }
                assert_eq!(encoded, HOOK_RECORDS as u64);
            });
        });
    }
    group.finish();
}

/// Records of the bench of each system.
const HOOK_RECORDS: usize = 1_000;
/// Different providers that the records of the bench have.
const PROVIDERS: usize = 50;
/// Records with different providers in one step of the check of the memory.
const DISTINCT_PROVIDERS: usize = 200_000;
/// The largest growth of the resident memory from one step to the next.
const GROWTH_BYTES_MAX: usize = 1024 * 1024;

/// Counting what accepted records contain, with and without detail; and the memory of records whose providers are all different.
fn record(criterion: &mut Criterion) {
    let fields = |provider: usize| {
        vec![(Field::Provider, format!("provider-{provider}")), (Field::SendingSource, format!("source-{}", provider % 7))]
    };
    let outcomes = [Outcome::Delivered, Outcome::Delivered, Outcome::Deferred, Outcome::Failed];
    let record = |i: usize, provider: usize| {
        let uid = RecordUid::new((i as u128).to_le_bytes());
        let status = Some(EnhancedStatus { class: 5, subject: 1, detail: (i % 20) as u16 });
        let reply = Reply { status, ..Reply::default() };
        let (outcome, duration, size) = (Some(outcomes[i % 4]), Some(i as f64 * 0.37), Some(i as u64 * 100));
        (uid, Record { outcome, duration, size, reply, fields: fields(provider), ..Record::default() })
    };
    let records: Vec<_> = (0..PAGE_RECORDS).map(|i| record(i, i % PROVIDERS)).collect();
    let attempts = |metrics: &DeliveryMetrics| -> f64 {
        let points = metrics.points(Instant::now());
        points.iter().filter(|point| point.metric.name == "mail.delivery.attempts").map(|point| point.value).sum()
    };
    let mut group = criterion.benchmark_group("record");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).throughput(Throughput::Elements(PAGE_RECORDS as u64));
    for by in [&[][..], &["provider"], &["provider", "source"]] {
        let metrics = common::delivery_metrics(by);
        let mut expected = 0;
        group.bench_function(BenchmarkId::from_parameter(by.len()), |bencher| {
            bencher.iter(|| {
                metrics.record(black_box(&records));
                expected += PAGE_RECORDS;
            });
        });
        assert_eq!(attempts(&metrics), expected as f64);
        let durations: u64 = metrics.histograms().iter().filter(|of| of.metric.unit == "s").map(|of| of.histogram.count).sum();
        assert_eq!(durations as usize, expected / 4 * 3);
    }
    group.finish();

    let metrics = common::delivery_metrics(&["provider", "source"]);
    let resident = |step: usize| {
        for i in step * DISTINCT_PROVIDERS..(step + 1) * DISTINCT_PROVIDERS {
            metrics.record(&[record(i, i)]);
        }
        common::resident_bytes()
    };
    let memory = [0, 1, 2].map(resident);
    let growth = memory[2].saturating_sub(memory[0]);
    println!("record: {growth} bytes more after {} different providers than after {DISTINCT_PROVIDERS}", 3 * DISTINCT_PROVIDERS);
    assert!(growth <= GROWTH_BYTES_MAX, "{memory:?}");
    assert_eq!(attempts(&metrics), 3.0 * DISTINCT_PROVIDERS as f64);
}

criterion_group!(benches, hot_loops, delivery_log, hook, record);
criterion_main!(benches);
