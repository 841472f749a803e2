//! Secrets: kept as the place they come from, read when needed, and never printed.

use super::Environment;
use super::template::Template;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a secret has no value. None of them quotes it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It should be in the environment.
    #[error("environment variable {0} is not set")]
    Variable(String),
    /// It should be in a file that cannot be read.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// That file is something else.
    #[error("{0} has more than {FILE_BYTES_MAX} bytes", FILE_BYTES_MAX = super::template::FILE_BYTES_MAX)]
    TooLarge(PathBuf),
    /// That file is something else.
    #[error("{0} is not UTF-8 text")]
    NotText(PathBuf),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
}

/// A password, a token, or the value of a header.
///
/// Written plainly, as `${env:NAME}`, as `${file:PATH}`, or by a key that ends in `_file`. A file is read anew each time, so
/// that a rotated secret is taken up without a restart. It has no serialization, and prints as `***`.
#[derive(Clone)]
pub struct Secret {
    template: Template,
    environment: Environment,
}

impl Secret {
    pub(super) fn new(template: Template, environment: &Environment) -> Self {
        Self { template, environment: environment.clone() }
    }

    /// One whose value is this, for programs and tests.
    #[must_use]
    pub fn plain(value: impl Into<String>) -> Self {
        Self { template: Template::plain(value), environment: Environment::default() }
    }

    /// Its value now; the line break at the end of a file is not part of it.
    ///
    /// # Errors
    /// Why it has none.
    pub fn read(&self) -> Result<String, SecretError> {
        let value = self.template.fill(&self.environment)?;
        if value.is_empty() { Err(SecretError::Empty) } else { Ok(value) }
    }

    /// Whether reading it again can give another value.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.template.reads_files()
    }
}

/// Written alike, and the same now but for what files say.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.template.same(&self.environment, &other.template, &other.environment)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
