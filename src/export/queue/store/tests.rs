#![allow(clippy::unwrap_used)]
use super::*;
use crate::export::queue::damaged_requests;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::{TempDir, tempdir};

mod kills;

const BYTES_MAX: usize = 1 << 20;

fn key(collection: u64, part: u32) -> Key {
    Key { collection, part }
}

fn row(key: Key, points: u64, bytes: impl Into<Bytes>) -> Row {
    Row { key, points, queued_at: UNIX_EPOCH + Duration::from_nanos(7), bytes: bytes.into() }
}

#[track_caller]
fn open(dir: &Path) -> (Store, Vec<(Key, u64, usize)>) {
    let mut store = Store::new(dir, BYTES_MAX);
    let found = store.open().unwrap_or_else(|error| panic!("{error}"));
    let kept = found.requests.iter().map(|waiting| (waiting.key, waiting.points, waiting.len)).collect();
    (store, kept)
}

/// All bytes that the files of a directory have.
fn bytes_in(dir: &Path) -> usize {
    let size = |path: PathBuf| if path.is_dir() { bytes_in(&path) } else { path.metadata().unwrap().len() as usize };
    fs::read_dir(dir).unwrap().map(|file| size(file.unwrap().path())).sum()
}

/// The files of requests, oldest first.
fn files(dir: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.path().join(DIR)).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect();
    files.sort();
    files
}

fn damaged_files(dir: &TempDir) -> usize {
    fs::read_dir(dir.path().join(DIR).join(damaged_requests::DIR)).map_or(0, Iterator::count)
}

/// A store with requests `1` to `n`.
fn filled(n: u64) -> (TempDir, Store) {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    (1..=n).for_each(|collection| store.change(Some(&row(key(collection, 0), 1, format!("request {collection}"))), &[]).unwrap());
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
    assert!(matches!(Store::new(dir.path(), BYTES_MAX).open(), Err(SpoolError::InUse(_))));
}

#[test]
fn only_its_owner_reads_it() {
    let (dir, store) = filled(1);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.path()), DIR_MODE);
    assert_eq!(mode(&files(&dir)[0]), FILE_MODE);
}

#[test]
fn a_directory_that_has_gone_may_come_back() {
    let (dir, mut store) = filled(1);
    let (path, elsewhere) = (dir.path().join(DIR), dir.path().join("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    // What a disk was mounted on is there without it.
    fs::create_dir(&path).unwrap();
    assert!(matches!(store.bytes(key(1, 0)), Err(SpoolError::Unusable(..))));
    assert!(matches!(store.change(None, &[key(1, 0)]), Err(SpoolError::Unusable(..))));
    assert!(matches!(store.change(Some(&row(key(2, 0), 1, "b")), &[]), Err(SpoolError::Unusable(..))));
    assert_eq!(bytes_in(&path), 0, "none is made in its place");
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(store.bytes(key(1, 0)).unwrap(), "request 1");
    store.change(Some(&row(key(2, 0), 1, "b")), &[]).unwrap();
}

/// Makes a damaged file of a whole one.
type Damage = fn(Vec<u8>) -> Vec<u8>;

#[test]
fn any_damage_costs_the_request_that_it_hits_and_no_other() {
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
            assert!(matches!(store.bytes(key(2, 0)), Err(SpoolError::Damaged(..))), "{what}");
            assert!(matches!(store.bytes(key(2, 0)), Err(SpoolError::Damaged(..))), "{what}, again");
            for collection in [1, 3] {
                assert_eq!(store.bytes(key(collection, 0)).unwrap(), format!("request {collection}"), "{what}");
            }
            assert_eq!((files(&dir).len(), damaged_files(&dir)), (2, 1), "{what}");
            store.change(Some(&row(key(4, 0), 1, "new")), &[key(1, 0), key(3, 0)]).unwrap();
            drop(store);
            assert_eq!(open(dir.path()).1, [(key(4, 0), 1, 3)], "{what}");
        }
    }
}

#[test]
fn files_that_are_exchanged_are_damaged() {
    let (dir, mut store) = filled(2);
    let files = files(&dir);
    let first = fs::read(&files[0]).unwrap();
    fs::write(&files[1], first).unwrap();
    assert!(matches!(store.bytes(key(2, 0)), Err(SpoolError::Damaged(..))));
    assert_eq!(store.bytes(key(1, 0)).unwrap(), "request 1");
}

#[test]
fn a_file_that_is_gone_and_one_that_may_not_be_read_stop_no_other() {
    let (dir, mut store) = filled(3);
    let files = files(&dir);
    fs::remove_file(&files[0]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    fs::create_dir(&files[1]).unwrap();
    assert!(matches!(store.bytes(key(1, 0)), Err(SpoolError::Damaged(..))));
    assert!(matches!(store.bytes(key(2, 0)), Err(SpoolError::Damaged(..))));
    assert_eq!(store.bytes(key(3, 0)).unwrap(), "request 3");
}

#[test]
fn names_that_are_not_ours_are_set_aside_if_they_look_like_it_and_left_alone_otherwise() {
    let (dir, mut store) = filled(1);
    store.close();
    let spool = dir.path().join(DIR);
    fs::write(spool.join("1-2-3-4.request"), "x").unwrap();
    let huge = File::create(spool.join("00000000000000000005-0000000000-7-1.request")).unwrap();
    huge.set_len(FILE_LEN_MAX + 1).unwrap();
    fs::write(spool.join("note"), "of an operator").unwrap();
    fs::write(spool.join(WRITING), "half a requ").unwrap();
    let found = store.open().unwrap();
    assert_eq!((found.requests.len(), found.damaged, damaged_files(&dir)), (1, 2, 1), "the huge one is larger than what is kept");
    assert!(spool.join("note").exists() && !spool.join(WRITING).exists());
}

#[test]
fn the_file_of_an_older_version_is_renamed_and_counted() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join(OLD_FILE), "redb").unwrap();
    let mut store = Store::new(dir.path(), BYTES_MAX);
    assert_eq!(store.open().unwrap().damaged, 1);
    assert_eq!(fs::read(dir.path().join("otlp-metrics.redb.old")).unwrap(), b"redb");
    store.change(Some(&row(key(1, 0), 1, "new")), &[]).unwrap();
    drop(store);
    assert_eq!(Store::new(dir.path(), BYTES_MAX).open().unwrap().damaged, 0);
}

#[test]
fn the_bound_is_exact() {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let mut collection = 0;
    let mut write = |store: &mut Store, len: usize| {
        collection += 1;
        store.change(Some(&row(key(collection, 0), 1, vec![7; len])), &[]).map(|()| key(collection, 0))
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
    // A request as large as the bound allows.
    drop(store);
    let (mut store, kept) = open(dir.path());
    let keys: Vec<Key> = kept.iter().map(|(key, ..)| *key).collect();
    let largest = BYTES_MAX - HEADER_LEN;
    store.change(Some(&row(key(90_000, 0), 1, vec![7; largest])), &keys).unwrap();
    assert_eq!(bytes_in(dir.path()), BYTES_MAX);
    assert!(matches!(store.change(Some(&row(key(90_001, 0), 1, "")), &[]), Err(SpoolError::Full(_))));
}

#[test]
fn damaged_files_are_bounded_and_give_way_to_requests() {
    let dir = tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    for collection in 1..=50 {
        store.change(Some(&row(key(collection, 0), 1, vec![7; 5000])), &[]).unwrap();
        let file = files(&dir).pop().unwrap();
        fs::write(file, vec![0; 5056]).unwrap();
        assert!(matches!(store.bytes(key(collection, 0)), Err(SpoolError::Damaged(..))));
        assert!(damaged_files(&dir) <= damaged_requests::FILES_MAX && bytes_in(dir.path()) <= BYTES_MAX / 16);
    }
    let aside = fs::read_dir(dir.path().join(DIR).join(damaged_requests::DIR)).unwrap().map(|file| file.unwrap().file_name());
    let newest = aside.max().unwrap();
    assert!(newest.to_string_lossy().starts_with("00000000000000000050-"), "the oldest go first, not {newest:?}");
    let largest = BYTES_MAX - HEADER_LEN;
    store.change(Some(&row(key(90, 0), 1, vec![7; largest])), &[]).unwrap();
    assert_eq!((bytes_in(dir.path()), damaged_files(&dir)), (BYTES_MAX, 0));
}
