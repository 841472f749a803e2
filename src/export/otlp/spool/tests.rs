#![allow(clippy::unwrap_used)]
use super::super::answer::Again;
use super::super::store::FILE;
use super::*;
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
    let (spool, kept) = Spool::open(&config, Arc::new(Own::quiet().unwrap())).unwrap_or_else(|error| panic!("{error}"));
    (spool, kept.iter().map(|waiting| waiting.key.collection).collect())
}

fn is_failing(spool: &Spool) -> bool {
    spool.status(Room { bytes: 0, max_bytes: 0 }).failing.is_some()
}

/// The disk goes away: the file with it.
async fn unplug(dir: &TempDir, spool: &Spool) {
    spool.store.lock().await.close();
    rename(dir.path().join(FILE), dir.path().join("unplugged")).unwrap();
}

fn plug(dir: &TempDir) {
    rename(dir.path().join("unplugged"), dir.path().join(FILE)).unwrap();
}

#[tokio::test]
async fn what_a_disk_does_not_do_now_it_may_do_later() {
    let dir = tempdir().unwrap();
    let (spool, _) = open(&dir);
    assert!(spool.write(row(1)).await);
    assert!(spool.write(row(2)).await);
    unplug(&dir, &spool).await;
    assert!(!spool.write(row(3)).await);
    assert_eq!(spool.bytes(key(1)).await.unwrap_err().again(), Again::Later);
    spool.remove([key(1)]).await;
    assert!(is_failing(&spool));
    plug(&dir);
    assert_eq!(spool.bytes(key(2)).await.unwrap(), "bytes");
    assert!(is_failing(&spool), "what can be read says nothing of writing");
    assert!(spool.write(row(4)).await);
    assert!(!is_failing(&spool));
    assert_eq!(spool.bytes(key(9)).await.unwrap_err().again(), Again::Never, "it will never be there");
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
    assert_eq!(spool.bytes(key(1)).await.unwrap_err().again(), Again::Later);
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
