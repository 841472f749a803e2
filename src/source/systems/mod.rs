//! The mail systems: a definition each, and a folder for those that need code.

pub(super) mod code;
pub(crate) mod cpanel;
pub(crate) mod kumomta;
pub(crate) mod stalwart;

use super::Source;
use super::definition::load;
use crate::yaml::Problem;
use std::sync::LazyLock;

/// Each file, with the path that problems name.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$((concat!("src/source/systems/", $name, ".yaml"), include_str!(concat!($name, ".yaml")))),*]
    };
}

/// The definitions that the binary contains, in the order of the documentation.
pub(super) const FILES: &[(&str, &str)] = files![
    "cpanel",
    "ceymail",
    "kumomta",
    "stalwart",
    "emailengine",
    "postfix",
    "exim",
    "dovecot",
    "rspamd",
    "mox",
    "maddy",
    "haraka",
    "postal",
    "mailcow",
    "pmg",
    "sendgrid",
    "mailgun",
    "postmark",
    "powermta",
    "prometheus",
];

/// The definitions that the binary contains, and their problems.
struct BuiltIn {
    sources: Vec<&'static Source>,
    problems: Vec<Problem>,
}

static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(|| {
    let mut built_in = BuiltIn { sources: Vec::new(), problems: Vec::new() };
    for (file, text) in FILES {
        match load(text, file) {
            Ok(source) => built_in.sources.push(source),
            Err(problems) => built_in.problems.extend(problems.iter().cloned()),
        }
    }
    built_in
});

/// The built-in mail systems. One whose definition has a problem is missing; a test fails then, so that no release has such a definition.
pub static SOURCES: LazyLock<Vec<&'static Source>> = LazyLock::new(|| BUILT_IN.sources.clone());

/// The problems of the built-in definitions. The configuration reports them, because a target may need a system that is missing.
#[must_use]
pub fn built_in_problems() -> &'static [Problem] {
    &BUILT_IN.problems
}
