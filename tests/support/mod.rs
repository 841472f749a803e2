//! What tests of the program share.
#![allow(clippy::unwrap_used, dead_code)]

pub mod flat;
pub mod names;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

/// Saved responses, and what is expected of them.
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// The program, with an environment of which it takes nothing.
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

/// Says that a test was skipped, past what the test harness keeps to itself.
pub fn skipped(test: &str, why: &str) {
    let said = format!("{test}: SKIPPED, because {why}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}

/// Compares with a file beside the fixtures; no file means nothing. `POSTMETER_BLESS=1` writes it.
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
    assert!(actual == expected, "{name} is not what is expected; POSTMETER_BLESS=1 rewrites it. It is now:\n{actual}");
}

/// All files below the fixtures, by their paths there.
pub fn fixture_files() -> impl Iterator<Item = String> {
    files(Path::new(FIXTURES)).into_iter().map(|path| path.strip_prefix(FIXTURES).unwrap().to_str().unwrap().to_owned())
}

/// All files below a folder.
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
