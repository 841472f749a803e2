//! Helpers that the test binaries share.
#![allow(clippy::unwrap_used, dead_code)]

pub mod flat;
pub mod names;
pub mod program;
pub mod spool;
mod wait;

#[allow(unused_imports, reason = "each test binary uses some of them")]
pub use wait::{Described, wait_until, wait_until_async, wait_until_blocking};

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

/// The directory of saved responses and the output that is expected for them.
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// The `postmeter` binary with an empty environment.
pub fn postmeter() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postmeter"));
    command.env_clear();
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Reports on standard error that a test was skipped. The test harness captures `eprintln!`, so the line is written directly.
pub fn skipped(test: &str, why: &str) {
    let line = format!("{test}: SKIPPED, because {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Compares text with a file in [`FIXTURES`]; a missing file is the same as an empty one. `POSTMETER_BLESS=1` writes the file instead.
#[track_caller]
pub fn expect_file(name: &str, actual: &str) {
    let path = Path::new(FIXTURES).join(name);
    if std::env::var_os("POSTMETER_BLESS").is_some() {
        match actual {
            "" => drop(std::fs::remove_file(&path)),
            _ => std::fs::write(&path, actual).unwrap(),
        }
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{name} differs; POSTMETER_BLESS=1 rewrites it. The actual text:\n{actual}");
}

/// All files in [`FIXTURES`] and its subdirectories, as paths relative to it.
pub fn fixture_files() -> impl Iterator<Item = String> {
    files(Path::new(FIXTURES)).into_iter().map(|path| path.strip_prefix(FIXTURES).unwrap().to_str().unwrap().to_owned())
}

/// All files in a directory and its subdirectories, sorted.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
