//! The spool and its files.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::export::queue::request_exporter::RetryDecision;
use std::fs::rename;
use std::time::{Instant, SystemTime};
use tempfile::{TempDir, tempdir};

fn key(collection: u64) -> RequestKey {
    RequestKey { collection, part: 0 }
}

fn entry(collection: u64) -> SpoolEntry {
    SpoolEntry {
        key: key(collection),
        points: 1,
        queued_at: SystemTime::UNIX_EPOCH,
        owner: None,
        body: RequestBody::uncompressed("bytes".into()),
    }
}

fn open(dir: &TempDir) -> (Spool, Vec<u64>) {
    let config = config::Spool { dir: dir.path().to_owned(), max_bytes: 1 << 20 };
    let (spool, kept) = Spool::open(&config, SpoolSignal::Metrics, Arc::new(SelfTelemetry::quiet().unwrap()));
    (spool, kept.iter().map(|request| request.key.collection).collect())
}

fn is_failing(spool: &Spool) -> bool {
    spool.status(Usage { bytes: 0, max_bytes: 0 }).failure.is_some()
}

/// Removes the disk with its files.
fn unplug(dir: &TempDir) {
    rename(dir.path().join(SpoolSignal::Metrics.dir()), dir.path().join("unplugged")).unwrap();
}

fn plug(dir: &TempDir) {
    rename(dir.path().join("unplugged"), dir.path().join(SpoolSignal::Metrics.dir())).unwrap();
}

#[tokio::test]
async fn a_disk_that_failed_is_used_again_later() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(spool.write(entry(1)).await);
    assert!(spool.write(entry(2)).await);
    unplug(&dir);
    assert!(!spool.write(entry(3)).await);
    assert_eq!(spool.body(key(1)).await.unwrap_err().retry_decision(), RetryDecision::Later);
    spool.delete([key(1)]).await;
    assert!(is_failing(&spool));
    plug(&dir);
    assert_eq!(spool.body(key(2)).await.unwrap().bytes, "bytes");
    assert!(is_failing(&spool), "a successful read does not show that the disk can be written");
    assert!(spool.write(entry(4)).await);
    assert!(!is_failing(&spool));
    assert_eq!(spool.body(key(9)).await.unwrap_err().retry_decision(), RetryDecision::Never, "the file is missing");
    spool.close().await;
    assert_eq!(open(&dir).1, [2, 4], "request 1 was deleted later");
}

#[tokio::test]
async fn closing_deletes_the_requests_that_are_to_be_deleted() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    for collection in 1..=3 {
        assert!(spool.write(entry(collection)).await);
    }
    spool.delete_later([key(1), key(3)]);
    spool.close().await;
    assert_eq!(open(&dir).1, [2]);
}

#[tokio::test]
async fn a_disk_that_hangs_delays_only_the_first_operation() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(spool.write(entry(1)).await);
    let hanging = spool.store.clone().lock_owned().await;
    let began = Instant::now();
    assert!(!spool.write(entry(2)).await);
    assert!(!spool.write(entry(3)).await);
    assert_eq!(spool.body(key(1)).await.unwrap_err().retry_decision(), RetryDecision::Later);
    spool.close().await;
    assert!(began.elapsed() < 2 * DISK_WAIT_MAX, "only the first write waits: {:?}", began.elapsed());
    drop(hanging);
    assert_eq!(spool.body(key(1)).await.unwrap().bytes, "bytes");
    assert!(spool.write(entry(4)).await);
}

#[tokio::test]
async fn a_request_that_is_written_after_the_timeout_is_deleted() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    let (begun, wait) = std::sync::mpsc::channel::<()>();
    let late = spool.on_disk(move |store| {
        let _ = wait.recv();
        store.change(Some(&entry(1)), &[])
    });
    assert!(late.await.is_err());
    spool.delete_later([key(1)]);
    drop(begun);
    spool.store.lock().await.body(key(1)).unwrap();
    assert!(spool.write(entry(2)).await);
    spool.close().await;
    assert_eq!(open(&dir).1, [2]);
}

#[tokio::test]
async fn a_spool_that_cannot_be_opened_is_opened_later() {
    let dir = tempdir().unwrap();
    let (first, _) = open(&dir);
    assert!(first.write(entry(1)).await);
    let (second, kept) = open(&dir);
    assert_eq!((kept, is_failing(&second)), (vec![], true), "another spool uses the directory");
    assert!(!second.write(entry(2)).await);
    first.close().await;
    assert!(second.write(entry(3)).await);
    assert!(!is_failing(&second));
    let found: Vec<u64> = second.take_found().iter().map(|request| request.key.collection).collect();
    assert_eq!(found, [1]);
    assert!(second.take_found().is_empty());
    assert_eq!(second.body(key(1)).await.unwrap().bytes, "bytes");
}

#[tokio::test]
async fn a_directory_that_cannot_be_created_is_created_later() {
    let dir = tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let config = config::Spool { dir: blocked.clone(), max_bytes: 1 << 20 };
    let (spool, kept) = Spool::open(&config, SpoolSignal::Metrics, Arc::new(SelfTelemetry::quiet().unwrap()));
    assert!(kept.is_empty() && is_failing(&spool));
    assert!(!spool.write(entry(1)).await);
    std::fs::remove_file(&blocked).unwrap();
    assert!(spool.write(entry(2)).await);
    assert!(!is_failing(&spool));
}

#[tokio::test]
async fn damaged_requests_are_counted_and_are_not_a_failure_of_the_disk() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(spool.write(entry(1)).await);
    assert!(spool.write(entry(2)).await);
    let file = std::fs::read_dir(dir.path().join(SpoolSignal::Metrics.dir())).unwrap().map(|file| file.unwrap().path());
    let file = file.filter(|path| path.to_string_lossy().ends_with(".request")).min().unwrap();
    std::fs::write(&file, "no request").unwrap();
    assert_eq!(spool.body(key(1)).await.unwrap_err().retry_decision(), RetryDecision::Never);
    assert_eq!(spool.body(key(2)).await.unwrap().bytes, "bytes");
    let status = spool.status(Usage { bytes: 0, max_bytes: 0 });
    assert_eq!((status.damaged_requests, status.failure), (1, None));
}

#[tokio::test]
async fn a_full_spool_is_not_a_failure_of_the_disk() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(!spool.write(SpoolEntry { body: RequestBody::uncompressed(vec![0; 1 << 20].into()), ..entry(1) }).await);
    assert!(!is_failing(&spool));
    assert!(spool.write(entry(2)).await);
}
