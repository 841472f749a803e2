//! The mail systems: a definition each, and a folder for those that need code.

pub(super) mod code;
pub(crate) mod cpanel;
pub(crate) mod kumomta;
pub(crate) mod stalwart;

use super::Source;
use super::definition::load;
use crate::yaml::Problem;
use crate::yaml::Problems;
use std::sync::{LazyLock, OnceLock};

/// A definition that the binary contains.
pub(super) struct BuiltIn {
    /// The name of the mail system and of its file.
    pub name: &'static str,
    /// The path that problems name.
    pub path: &'static str,
    pub text: &'static str,
    loaded: OnceLock<Result<&'static Source, Problems>>,
}

/// Declares the definitions, in the order of the documentation.
macro_rules! files {
    ($($name:literal,)*) => {
        /// The names of the built-in mail systems.
        pub const BUILT_IN_NAMES: &[&str] = &[$($name),*];

        /// The definitions that the binary contains.
        pub(super) static FILES: [BuiltIn; BUILT_IN_NAMES.len()] = [$(BuiltIn {
            name: $name,
            path: concat!("src/source/systems/", $name, ".yaml"),
            text: include_str!(concat!($name, ".yaml")),
            loaded: OnceLock::new(),
        }),*];
    };
}

files![
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

/// The system that reads any Prometheus endpoint.
pub const GENERIC: &str = "prometheus";

impl BuiltIn {
    /// Loads the definition when it is first needed: reading all of them would take most of the time of a start.
    fn load(&self) -> Result<&'static Source, &Problems> {
        self.loaded.get_or_init(|| load(self.text, self.path)).as_ref().copied()
    }
}

/// The built-in mail systems. One whose definition has a problem is missing; a test fails then, so that no release has such a definition.
pub static SOURCES: LazyLock<Vec<&'static Source>> = LazyLock::new(|| FILES.iter().filter_map(|file| file.load().ok()).collect());

/// Returns the built-in mail system with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Source> {
    FILES.iter().find(|file| file.name == name)?.load().ok()
}

/// Returns the problems of the built-in definitions. A configuration with problems reports them, because its target may need a system that
/// is missing.
#[must_use]
pub fn built_in_problems() -> Vec<Problem> {
    FILES.iter().filter_map(|file| file.load().err()).flat_map(|problems| problems.iter().cloned()).collect()
}
