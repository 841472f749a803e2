//! The mail systems: a definition each, and a folder for those that need code.

pub(super) mod code;
pub(crate) mod cpanel;
pub(crate) mod kumomta;
pub(crate) mod stalwart;

use super::Source;
use super::definition::load;
use crate::yaml::{Problem, Problems};
use std::sync::LazyLock;

/// Each file, with the path that problems name.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$((concat!("src/source/systems/", $name, ".yaml"), include_str!(concat!($name, ".yaml")))),*]
    };
}

/// The definitions that the binary contains, in the order of the documentation.
const FILES: &[(&str, &str)] = files![
    "cpanel",
    "ceymail",
    "kumomta",
    "stalwart",
    "emailengine",
    "prometheus",
    "mailcow",
    "pmg",
    "sendgrid",
    "mailgun",
    "postmark",
    "powermta",
];

/// The built-in mail systems. One whose file has a problem is missing; a test fails then, so that no release has such a file.
pub static SOURCES: LazyLock<Vec<&'static Source>> =
    LazyLock::new(|| FILES.iter().filter_map(|(file, text)| load(text, file).ok()).collect());

/// Returns the problems of the built-in definitions.
#[must_use]
pub fn built_in_problems() -> Vec<Problem> {
    let problems = FILES.iter().filter_map(|(file, text)| load(text, file).err());
    problems.flat_map(|problems: Problems| problems.iter().cloned().collect::<Vec<_>>()).collect()
}
