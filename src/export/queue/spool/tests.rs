#![allow(clippy::unwrap_used)]
use super::*;
use crate::export::otlp::response::RetryDecision;
use crate::export::queue::store::DIR;
use std::fs::rename;
use std::time::{Instant, SystemTime};
use tempfile::{TempDir, tempdir};

fn key(collection: u64) -> Key {
    Key { collection, part: 0 }
}

fn row(collection: u64) -> Row {
    Row { key: key(collection), points: 1, queued_at: SystemTime::UNIX_EPOCH, bytes: Bytes::from_static(b"bytes") }
}

fn open(dir: &TempDir) -> (Spool, Vec<u64>) {
    let config = config::Spool { dir: dir.path().to_owned(), max_bytes: 1 << 20 };
    let (spool, kept) = Spool::open(&config, Arc::new(SelfTelemetry::quiet().unwrap()));
    (spool, kept.iter().map(|waiting| waiting.key.collection).collect())
}

fn is_failing(spool: &Spool) -> bool {
    spool.status(Usage { bytes: 0, max_bytes: 0 }).failing.is_some()
}

/// The disk goes away: the files with it.
fn unplug(dir: &TempDir) {
    rename(dir.path().join(DIR), dir.path().join("unplugged")).unwrap();
}

fn plug(dir: &TempDir) {
    rename(dir.path().join("unplugged"), dir.path().join(DIR)).unwrap();
}

#[tokio::test]
async fn what_a_disk_does_not_do_now_it_may_do_later() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(spool.write(row(1)).await);
    assert!(spool.write(row(2)).await);
    unplug(&dir);
    assert!(!spool.write(row(3)).await);
    assert_eq!(spool.bytes(key(1)).await.unwrap_err().again(), RetryDecision::Later);
    spool.remove([key(1)]).await;
    assert!(is_failing(&spool));
    plug(&dir);
    assert_eq!(spool.bytes(key(2)).await.unwrap(), "bytes");
    assert!(is_failing(&spool), "what can be read says nothing of writing");
    assert!(spool.write(row(4)).await);
    assert!(!is_failing(&spool));
    assert_eq!(spool.bytes(key(9)).await.unwrap_err().again(), RetryDecision::Never, "it will never be there");
    spool.close().await;
    assert_eq!(open(&dir).1, [2, 4], "what could not be removed was removed later");
}

#[tokio::test]
async fn what_is_to_leave_leaves_at_the_end_at_the_latest() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    for collection in 1..=3 {
        assert!(spool.write(row(collection)).await);
    }
    spool.leave([key(1), key(3)]);
    spool.close().await;
    assert_eq!(open(&dir).1, [2]);
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_nobody() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(spool.write(row(1)).await);
    let hanging = spool.store.clone().lock_owned().await;
    let began = Instant::now();
    assert!(!spool.write(row(2)).await);
    assert!(!spool.write(row(3)).await);
    assert_eq!(spool.bytes(key(1)).await.unwrap_err().again(), RetryDecision::Later);
    spool.close().await;
    assert!(began.elapsed() < 2 * DISK_WAIT_MAX, "only the first waits: {:?}", began.elapsed());
    drop(hanging);
    assert_eq!(spool.bytes(key(1)).await.unwrap(), "bytes");
    assert!(spool.write(row(4)).await);
}

#[tokio::test]
async fn what_was_written_after_all_does_not_stay() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    let (begun, wait) = std::sync::mpsc::channel::<()>();
    let late = spool.on_disk(move |store| {
        let _ = wait.recv();
        store.change(Some(&row(1)), &[])
    });
    assert!(late.await.is_err());
    spool.leave([key(1)]);
    drop(begun);
    spool.store.lock().await.bytes(key(1)).unwrap();
    assert!(spool.write(row(2)).await);
    spool.close().await;
    assert_eq!(open(&dir).1, [2]);
}

#[tokio::test]
async fn a_spool_that_cannot_be_opened_is_opened_later() {
    let dir = tempdir().unwrap();
    let (first, _) = open(&dir);
    assert!(first.write(row(1)).await);
    let (second, kept) = open(&dir);
    assert_eq!((kept, is_failing(&second)), (vec![], true), "another one uses it");
    assert!(!second.write(row(2)).await);
    first.close().await;
    assert!(second.write(row(3)).await);
    assert!(!is_failing(&second));
    let found: Vec<u64> = second.take_found().iter().map(|waiting| waiting.key.collection).collect();
    assert_eq!(found, [1]);
    assert!(second.take_found().is_empty());
    assert_eq!(second.bytes(key(1)).await.unwrap(), "bytes");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_does_not_end_the_process() {
    let dir = tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let config = config::Spool { dir: blocked.clone(), max_bytes: 1 << 20 };
    let (spool, kept) = Spool::open(&config, Arc::new(SelfTelemetry::quiet().unwrap()));
    assert!(kept.is_empty() && is_failing(&spool));
    assert!(!spool.write(row(1)).await);
    std::fs::remove_file(&blocked).unwrap();
    assert!(spool.write(row(2)).await);
    assert!(!is_failing(&spool));
}

#[tokio::test]
async fn damaged_requests_are_counted_and_no_failure_of_the_disk() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(spool.write(row(1)).await);
    assert!(spool.write(row(2)).await);
    let file = std::fs::read_dir(dir.path().join(DIR)).unwrap().map(|file| file.unwrap().path());
    let file = file.filter(|path| path.to_string_lossy().ends_with(".request")).min().unwrap();
    std::fs::write(&file, "no request").unwrap();
    assert_eq!(spool.bytes(key(1)).await.unwrap_err().again(), RetryDecision::Never);
    assert_eq!(spool.bytes(key(2)).await.unwrap(), "bytes");
    let status = spool.status(Usage { bytes: 0, max_bytes: 0 });
    assert_eq!((status.damaged_requests, status.failing), (1, None));
}

#[tokio::test]
async fn what_does_not_fit_is_no_failure_of_the_disk() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(!spool.write(Row { bytes: vec![0; 1 << 20].into(), ..row(1) }).await);
    assert!(!is_failing(&spool));
    assert!(spool.write(row(2)).await);
}
