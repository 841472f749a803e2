#![allow(clippy::unwrap_used)]
use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::{TempDir, tempdir};

fn key(collection: u64, part: u32) -> Key {
    Key { collection, part }
}

fn row(key: Key, points: u64, bytes: impl Into<Bytes>) -> Row {
    Row { key, points, queued_at: UNIX_EPOCH, bytes: bytes.into() }
}

#[track_caller]
fn open(dir: &Path) -> (Store, Vec<(Key, u64, usize)>) {
    let (store, kept) = Store::open(dir).unwrap_or_else(|error| panic!("{error}"));
    (store, kept.iter().map(|waiting| (waiting.key, waiting.points, waiting.len)).collect())
}

/// A store with one request, as it is after an error of the disk.
fn failed_once() -> (TempDir, Store) {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    store.change(Some(&row(key(1, 0), 1, "a")), &[]).unwrap();
    let error = store.with(|_| Err::<(), _>(Error::Io(ErrorKind::StorageFull.into()))).unwrap_err();
    assert!(matches!(error, SpoolError::Unusable(..)), "{error}");
    assert!(store.database.is_none());
    (dir, store)
}

#[test]
fn what_was_written_is_there_again_oldest_first() {
    let dir = tempdir().unwrap();
    let (mut store, kept) = open(dir.path());
    assert_eq!(kept, []);
    store.change(Some(&row(key(2, 0), 7, "later")), &[]).unwrap();
    store.change(Some(&row(key(1, 1), 5, "b")), &[]).unwrap();
    store.change(Some(&row(key(1, 0), 3, "a")), &[key(1, 1), key(8, 8)]).unwrap();
    drop(store);
    let (mut store, kept) = open(dir.path());
    assert_eq!(kept, [(key(1, 0), 3, 1), (key(2, 0), 7, 5)]);
    assert_eq!(store.bytes(key(2, 0)).unwrap(), "later");
    assert!(matches!(store.bytes(key(1, 1)), Err(SpoolError::Damaged(..))));
}

#[test]
fn one_process_has_it() {
    let dir = tempdir().unwrap();
    let (_store, _) = open(dir.path());
    assert!(matches!(Store::open(dir.path()), Err(SpoolError::InUse(_))));
}

#[test]
fn only_its_owner_reads_it() {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (store, _) = open(dir.path());
    assert_eq!(store.path().metadata().unwrap().permissions().mode() & 0o777, FILE_MODE);
}

#[test]
fn after_an_error_it_reads_and_writes_again() {
    let (_dir, mut store) = failed_once();
    assert_eq!(store.bytes(key(1, 0)).unwrap(), "a");
    let (_dir, mut store) = failed_once();
    store.change(Some(&row(key(2, 0), 1, "b")), &[]).unwrap();
    assert_eq!((store.bytes(key(1, 0)).unwrap(), store.bytes(key(2, 0)).unwrap()), ("a".into(), "b".into()));
}

#[test]
fn a_file_that_has_gone_may_come_back() {
    let (dir, mut store) = failed_once();
    let (path, elsewhere) = (dir.path().join(FILE), dir.path().join("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    assert!(matches!(store.bytes(key(1, 0)), Err(SpoolError::Unusable(..))));
    assert!(matches!(store.change(None, &[key(1, 0)]), Err(SpoolError::Unusable(..))));
    assert!(!path.exists(), "none is made in its place");
    fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(store.bytes(key(1, 0)).unwrap(), "a");
}

#[test]
fn a_file_that_breaks_meanwhile_gives_way_to_a_new_one() {
    let (dir, mut store) = failed_once();
    fs::write(dir.path().join(FILE), "no store").unwrap();
    assert!(matches!(store.bytes(key(1, 0)), Err(SpoolError::Damaged(..))));
    store.change(Some(&row(key(2, 0), 1, "b")), &[]).unwrap();
    assert_eq!(fs::read(dir.path().join("otlp-metrics.redb.broken")).unwrap(), b"no store");
}

/// A file of forty requests, as its process left it: closed, or killed.
fn file(closed: bool) -> Vec<u8> {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    for collection in 0..40 {
        store.change(Some(&row(key(collection, 0), 1, vec![7; 30_000])), &[]).unwrap();
    }
    if closed {
        store.close();
    }
    fs::read(dir.path().join(FILE)).unwrap()
}

#[test]
fn a_file_that_is_cut_off_is_read_or_set_aside_never_refused() {
    for (closed, whole) in [true, false].map(|closed| (closed, file(closed))) {
        let len = whole.len();
        for cut in [0, 1, 8, 9, 64, 320, 512, 4095, 4096, 4097, 8192, 100_000, len / 2, len - 12_295, len - 4096, len - 1, len] {
            let dir = tempdir().unwrap();
            fs::write(dir.path().join(FILE), &whole[..cut]).unwrap();
            let (mut store, kept) = open(dir.path());
            let aside = dir.path().join("otlp-metrics.redb.broken");
            match kept.len() {
                0 => assert_eq!(aside.exists(), cut > 0, "closed: {closed}, {cut} of {len}"),
                all => assert_eq!((all, aside.exists()), (40, false), "closed: {closed}, {cut} of {len}"),
            }
            assert!(cut < len || kept.len() == 40);
            kept.iter().for_each(|(key, ..)| assert_eq!(store.bytes(*key).unwrap().len(), 30_000));
            store.change(Some(&row(key(90, 0), 1, "new")), &[]).unwrap();
        }
    }
}

#[test]
fn a_file_of_another_version_is_left_alone() {
    let dir = tempdir().unwrap();
    let other: TableDefinition<u64, u64> = TableDefinition::new("requests.v1");
    let database = Database::create(dir.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(other).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, SpoolError::Version(..)), "{error}");
    assert!(dir.path().join(FILE).exists());
}

#[test]
fn a_file_that_is_empty_at_the_start_gets_small() {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let len = || dir.path().join(FILE).metadata().unwrap().len();
    let keys: Vec<Key> = (0..20).map(|collection| key(collection, 0)).collect();
    keys.iter().for_each(|key| store.change(Some(&row(*key, 1, vec![7; 600_000])), &[]).unwrap());
    assert!(len() < 4 * 20 * 600_000, "what the documentation says of its length: {}", len());
    store.change(None, &keys).unwrap();
    drop(store);
    let before = len();
    let _store = open(dir.path());
    assert!(len() < before.min(4_000_000), "{} after {before}", len());
}
