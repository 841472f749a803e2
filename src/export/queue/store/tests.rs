//! The thread that reads and writes the spool.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::export::queue::damaged_requests;
use crate::net::{PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE};
use bytes::Bytes;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::{TempDir, tempdir};

mod kills;

const BYTES_MAX: usize = 1 << 20;

fn key(collection: u64, part: u32) -> RequestKey {
    RequestKey { collection, part }
}

fn entry(key: RequestKey, points: u64, bytes: impl Into<Bytes>) -> SpoolEntry {
    let queued_at = UNIX_EPOCH + Duration::from_nanos(7);
    SpoolEntry { key, points, queued_at, owner: None, body: RequestBody::uncompressed(bytes.into()) }
}

#[track_caller]
fn open(dir: &Path) -> (Store, Vec<(RequestKey, u64, usize)>) {
    let mut store = Store::new(dir, SpoolSignal::Metrics, BYTES_MAX);
    let found = store.open().unwrap_or_else(|error| panic!("{error}"));
    let kept = found.requests.iter().map(|request| (request.key, request.points, request.len)).collect();
    (store, kept)
}

/// The total size of all files in a directory.
fn bytes_in(dir: &Path) -> usize {
    let size = |path: PathBuf| if path.is_dir() { bytes_in(&path) } else { path.metadata().unwrap().len() as usize };
    fs::read_dir(dir).unwrap().map(|file| size(file.unwrap().path())).sum()
}

/// The request files, oldest first.
fn files(dir: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.path().join(SpoolSignal::Metrics.dir())).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect();
    files.sort();
    files
}

fn damaged_files(dir: &TempDir) -> usize {
    fs::read_dir(dir.path().join(SpoolSignal::Metrics.dir()).join(damaged_requests::DIR)).map_or(0, Iterator::count)
}

/// A store with requests `1` to `n`.
fn filled(n: u64) -> (TempDir, Store) {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    (1..=n).for_each(|collection| store.change(Some(&entry(key(collection, 0), 1, format!("request {collection}"))), &[]).unwrap());
    (dir, store)
}

#[test]
fn requests_survive_a_restart_and_are_found_oldest_first() {
    let dir = tempdir().unwrap();
    let (mut store, kept) = open(dir.path());
    assert_eq!(kept, []);
    store.change(Some(&entry(key(2, 0), 7, "later")), &[]).unwrap();
    store.change(Some(&entry(key(1, 1), 5, "b")), &[]).unwrap();
    store.change(Some(&entry(key(1, 0), 3, "a")), &[key(1, 1), key(8, 8)]).unwrap();
    drop(store);
    let (mut store, kept) = open(dir.path());
    assert_eq!(kept, [(key(1, 0), 3, 1), (key(2, 0), 7, 5)]);
    assert_eq!(store.body(key(2, 0)).unwrap().bytes, "later");
    assert!(matches!(store.body(key(1, 1)), Err(SpoolError::Damaged(..))));
}

#[test]
fn a_request_is_replaced_by_what_is_left_of_it() {
    let (dir, mut store) = filled(2);
    store.change(Some(&entry(key(3, 0), 9, "a and b")), &[]).unwrap();
    let whole = files(&dir).pop().unwrap();
    let content = fs::read(&whole).unwrap();
    store.change(Some(&entry(key(3, 0), 4, "b")), &[]).unwrap();
    let left = [(key(1, 0), 1, 9), (key(2, 0), 1, 9), (key(3, 0), 4, 1)];
    assert_eq!((files(&dir).len(), store.body(key(3, 0)).unwrap().bytes), (3, Bytes::from("b")));
    drop(store);
    // As after a crash between both steps.
    for _ in 0..2 {
        let (store, kept) = open(dir.path());
        assert_eq!((kept, files(&dir).len()), (left.to_vec(), 3));
        let bytes: usize = store.opened.as_ref().unwrap().files.values().map(|file| file.disk_bytes()).sum();
        assert_eq!(store.opened.as_ref().unwrap().bytes, bytes);
        fs::write(&whole, &content).unwrap();
    }
}

#[test]
fn only_one_process_can_open_a_store() {
    let dir = tempdir().unwrap();
    let (_store, _) = open(dir.path());
    assert!(matches!(Store::new(dir.path(), SpoolSignal::Metrics, BYTES_MAX).open(), Err(SpoolError::InUse(_))));
}

#[test]
fn only_the_owner_can_read_the_files() {
    let (dir, store) = filled(1);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.path()), PRIVATE_DIRECTORY_MODE);
    assert_eq!(mode(&files(&dir)[0]), PRIVATE_FILE_MODE);
}

#[test]
fn a_missing_directory_is_used_again_when_it_returns() {
    let (dir, mut store) = filled(1);
    let (path, elsewhere) = (dir.path().join(SpoolSignal::Metrics.dir()), dir.path().join("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    // The mount point of an unmounted disk is an empty directory.
    fs::create_dir(&path).unwrap();
    assert!(matches!(store.body(key(1, 0)), Err(SpoolError::Unusable(..))));
    assert!(matches!(store.change(None, &[key(1, 0)]), Err(SpoolError::Unusable(..))));
    assert!(matches!(store.change(Some(&entry(key(2, 0), 1, "b")), &[]), Err(SpoolError::Unusable(..))));
    assert_eq!(bytes_in(&path), 0, "nothing is created in the mount point");
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(store.body(key(1, 0)).unwrap().bytes, "request 1");
    store.change(Some(&entry(key(2, 0), 1, "b")), &[]).unwrap();
}

/// Damages the content of a file.
type Damage = fn(Vec<u8>) -> Vec<u8>;

#[test]
fn damage_affects_one_request_only() {
    let damages: [(&str, Damage); 6] = [
        ("a flipped bit", |mut file| {
            *file.last_mut().unwrap() ^= 4;
            file
        }),
        ("a flipped bit in the header", |mut file| {
            file[22] ^= 1;
            file
        }),
        ("zeros", |file| vec![0; file.len()]),
        ("cut off", |file| file[..file.len() - 1].to_vec()),
        ("longer", |file| [file, vec![0; 10_000]].concat()),
        ("empty", |_| Vec::new()),
    ];
    for (what, damage) in damages {
        for reopened in [false, true] {
            let (dir, mut store) = filled(3);
            let file = &files(&dir)[1];
            fs::write(file, damage(fs::read(file).unwrap())).unwrap();
            if reopened {
                drop(store);
                store = open(dir.path()).0;
            }
            assert!(matches!(store.body(key(2, 0)), Err(SpoolError::Damaged(..))), "{what}");
            assert!(matches!(store.body(key(2, 0)), Err(SpoolError::Damaged(..))), "{what}, again");
            for collection in [1, 3] {
                assert_eq!(store.body(key(collection, 0)).unwrap().bytes, format!("request {collection}"), "{what}");
            }
            assert_eq!((files(&dir).len(), damaged_files(&dir)), (2, 1), "{what}");
            store.change(Some(&entry(key(4, 0), 1, "new")), &[key(1, 0), key(3, 0)]).unwrap();
            drop(store);
            assert_eq!(open(dir.path()).1, [(key(4, 0), 1, 3)], "{what}");
        }
    }
}

#[test]
fn a_file_with_the_content_of_another_is_damaged() {
    let (dir, mut store) = filled(2);
    let files = files(&dir);
    let first = fs::read(&files[0]).unwrap();
    fs::write(&files[1], first).unwrap();
    assert!(matches!(store.body(key(2, 0)), Err(SpoolError::Damaged(..))));
    assert_eq!(store.body(key(1, 0)).unwrap().bytes, "request 1");
}

#[test]
fn missing_and_unreadable_files_do_not_affect_other_requests() {
    let (dir, mut store) = filled(3);
    let files = files(&dir);
    fs::remove_file(&files[0]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    fs::create_dir(&files[1]).unwrap();
    assert!(matches!(store.body(key(1, 0)), Err(SpoolError::Damaged(..))));
    assert!(matches!(store.body(key(2, 0)), Err(SpoolError::Damaged(..))));
    assert_eq!(store.body(key(3, 0)).unwrap().bytes, "request 3");
}

#[test]
fn invalid_request_files_are_moved_away_and_other_files_are_kept() {
    let (dir, mut store) = filled(1);
    store.close();
    let spool = dir.path().join(SpoolSignal::Metrics.dir());
    fs::write(spool.join("1-2-3-4.request"), "x").unwrap();
    let huge = fs::File::create(spool.join("00000000000000000005-0000000000-7-1.request")).unwrap();
    huge.set_len(FILE_LEN_MAX + 1).unwrap();
    fs::write(spool.join("note"), "written by an operator").unwrap();
    fs::write(spool.join(WRITING), "half a requ").unwrap();
    let found = store.open().unwrap();
    assert_eq!((found.requests.len(), found.damaged, damaged_files(&dir)), (1, 2, 1), "the huge file exceeds the limit of damaged files");
    assert!(spool.join("note").exists() && !spool.join(WRITING).exists());
}

#[test]
fn a_file_instead_of_the_directory_is_an_error_and_stays() {
    let dir = tempdir().unwrap();
    let file = dir.path().join(SpoolSignal::Metrics.dir());
    fs::write(&file, [0; 4096]).unwrap();
    let mut store = Store::new(dir.path(), SpoolSignal::Metrics, BYTES_MAX);
    let error = store.open().unwrap_err();
    assert!(matches!(&error, SpoolError::Unusable(path, _) if *path == file), "{error}");
    assert_eq!(fs::read(&file).unwrap(), [0; 4096]);
}

#[test]
fn the_size_limit_is_exact() {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let mut collection = 0;
    let mut write = |store: &mut Store, len: usize| {
        collection += 1;
        store.change(Some(&entry(key(collection, 0), 1, vec![7; len])), &[]).map(|()| key(collection, 0))
    };
    let mut kept = Vec::new();
    for len in [100, 70_000, 4096, 200_000].into_iter().cycle() {
        match write(&mut store, len) {
            Ok(key) => kept.push(key),
            Err(error) => {
                assert!(matches!(error, SpoolError::Full(_)), "{error}");
                break;
            }
        }
        assert!(bytes_in(dir.path()) <= BYTES_MAX);
    }
    assert!(bytes_in(dir.path()) > BYTES_MAX * 3 / 4, "{}", bytes_in(dir.path()));
    store.change(None, &kept[..5]).unwrap();
    write(&mut store, 200_000).unwrap();
    // The largest request that the limit allows.
    drop(store);
    let (mut store, kept) = open(dir.path());
    let keys: Vec<RequestKey> = kept.iter().map(|(key, ..)| *key).collect();
    let largest = BYTES_MAX - HEADER_LEN;
    store.change(Some(&entry(key(90_000, 0), 1, vec![7; largest])), &keys).unwrap();
    assert_eq!(bytes_in(dir.path()), BYTES_MAX);
    assert!(matches!(store.change(Some(&entry(key(90_001, 0), 1, "")), &[]), Err(SpoolError::Full(_))));
}

#[test]
fn damaged_files_are_limited_and_deleted_for_requests() {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    for collection in 1..=50 {
        store.change(Some(&entry(key(collection, 0), 1, vec![7; 5000])), &[]).unwrap();
        let file = files(&dir).pop().unwrap();
        fs::write(file, vec![0; 5056]).unwrap();
        assert!(matches!(store.body(key(collection, 0)), Err(SpoolError::Damaged(..))));
        assert!(damaged_files(&dir) <= damaged_requests::FILES_MAX && bytes_in(dir.path()) <= BYTES_MAX / 16);
    }
    let kept = fs::read_dir(dir.path().join(SpoolSignal::Metrics.dir()).join(damaged_requests::DIR))
        .unwrap()
        .map(|file| file.unwrap().file_name());
    let newest = kept.max().unwrap();
    assert!(newest.to_string_lossy().starts_with("00000000000000000050-"), "the oldest files are deleted first, not {newest:?}");
    let largest = BYTES_MAX - HEADER_LEN;
    store.change(Some(&entry(key(90, 0), 1, vec![7; largest])), &[]).unwrap();
    assert_eq!((bytes_in(dir.path()), damaged_files(&dir)), (BYTES_MAX, 0));
}
