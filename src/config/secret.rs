//! Secrets, which are stored as references, read when they are needed, and never printed.

use super::environment::{Environment, NotText};
use super::template::Template;
use crate::net::{FileThread, UnresponsiveFile};
use std::path::PathBuf;
use std::{fmt, io};

/// The reason why a secret has no value. No message quotes a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set.
    #[error("environment variable {0} is not set; set it, or name a file that contains it with --env-file")]
    Variable(String),
    /// The environment variable is set to a value that cannot be used.
    #[error("environment variable {0} {1}; set it to UTF-8 text")]
    UnusableVariable(String, #[source] NotText),
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The file does not respond.
    #[error("cannot read {0}: {UnresponsiveFile}")]
    Unresponsive(PathBuf),
    /// The file is too large to be a secret.
    #[error("{0} exceeds the limit of {FILE_BYTES_MAX} bytes", FILE_BYTES_MAX = super::template::FILE_BYTES_MAX)]
    TooLarge(PathBuf),
    /// The file is not text.
    #[error("{0} is not UTF-8 text")]
    NotText(PathBuf),
    /// The value is empty.
    #[error("is empty")]
    Empty,
}

/// A password, a token, or the value of a header.
///
/// A secret is written in plain text, as `${env:NAME}`, as `${file:PATH}`, or by a key that ends in `_file`. Files are read each time,
/// so that a rotated secret is used without a restart. A secret cannot be serialized, and prints as `***`.
#[derive(Clone)]
pub struct Secret {
    template: Template,
    environment: Environment,
}

impl Secret {
    pub(super) fn new(template: Template, environment: &Environment) -> Self {
        Self { template, environment: environment.clone() }
    }

    /// Creates a secret with a fixed value.
    #[must_use]
    pub fn plain(value: impl Into<String>) -> Self {
        Self { template: Template::plain(value), environment: Environment::default() }
    }

    /// Returns the current value, without a byte order mark at the beginning of a file and a line break at its end.
    ///
    /// # Errors
    /// The value cannot be read or is empty.
    pub fn read(&self) -> Result<String, SecretError> {
        let value = self.template.resolve(&self.environment)?;
        if value.is_empty() { Err(SecretError::Empty) } else { Ok(value) }
    }

    /// Returns the current value as [`Self::read`] does, without blocking the caller's thread.
    ///
    /// # Errors
    /// As for [`Self::read`], or the file does not respond.
    pub(crate) async fn read_on(&self, thread: &FileThread) -> Result<String, SecretError> {
        let Some(path) = self.template.files().next() else { return self.read() };
        let secret = self.clone();
        // Boxed, because files are rarely read, and the futures of polls contain this one.
        let value = Box::pin(thread.run(move || secret.read())).await;
        value.unwrap_or_else(|UnresponsiveFile| Err(SecretError::Unresponsive(path.to_owned())))
    }

    /// Returns `true` if the value may change while the process runs.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.template.files().next().is_some()
    }
}

/// Compares references and variables, but not the content of files.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.template.is_same(&self.environment, &other.template, &other.environment)
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
