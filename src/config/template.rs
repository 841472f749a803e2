//! Text with references: `${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}`. `$$` is a dollar sign.
//!
//! The syntax is that of the OpenTelemetry Collector. Paths are relative to the working directory, as they are there.

use super::{Environment, SecretError};
use crate::model::without_byte_order_mark;
use crate::net::{open_regular_file, read_limited};
use std::path::{Path, PathBuf};

/// The largest size of a file that a value is read from.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Text with references.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<TemplatePart>);

#[derive(Clone, Debug, PartialEq)]
enum TemplatePart {
    Text(String),
    Variable { name: String, default: Option<String> },
    File(PathBuf),
}

impl Template {
    /// Text without references.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self(vec![TemplatePart::Text(text.into())])
    }

    /// A reference to the content of a file.
    pub(super) fn file(path: impl Into<PathBuf>) -> Self {
        Self(vec![TemplatePart::File(path.into())])
    }

    /// Parses the references. Errors do not quote the text, which may be secret.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let Some((reference, after)) = after.split_once('}') else {
                    return Err("a reference that begins with ${ is not closed; write $$ for a dollar sign".to_owned());
                };
                parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
                parts.push(TemplatePart::reference(reference)?);
                rest = after;
            } else {
                plain.push('$');
            }
        }
        plain.push_str(rest);
        parts.push(TemplatePart::Text(plain));
        Ok(Self(parts))
    }

    /// Returns `true` if a single `$` begins a name, as in a shell: `$TOKEN`. Such a text is not a reference.
    pub(super) fn has_shell_variable(text: &str) -> bool {
        let is_name = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('$') {
            if is_name(after) {
                return true;
            }
            rest = after.strip_prefix('$').unwrap_or(after);
        }
        false
    }

    /// Replaces the references by their current values.
    pub(super) fn resolve(&self, environment: &Environment) -> Result<String, SecretError> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                TemplatePart::Text(part) => text.push_str(part),
                TemplatePart::File(path) => text.push_str(&read(path)?),
                TemplatePart::Variable { name, default } => {
                    let value = environment.get(name).map_err(|error| SecretError::UnusableVariable(name.clone(), error))?;
                    match (value.filter(|value| !value.is_empty()), default) {
                        (Some(value), _) => text.push_str(value),
                        (None, Some(default)) => text.push_str(default),
                        (None, None) if value.is_some() => {}
                        (None, None) => return Err(SecretError::Variable(name.clone())),
                    }
                }
            }
        }
        Ok(text)
    }

    /// Returns `true` if both have the same text and their variables have the same values. Files are not compared.
    pub(super) fn is_same(&self, environment: &Environment, other: &Self, others: &Environment) -> bool {
        let is_same = |part: &TemplatePart| match part {
            TemplatePart::Variable { name, .. } => environment.get(name) == others.get(name),
            TemplatePart::Text(_) | TemplatePart::File(_) => true,
        };
        self.0 == other.0 && self.0.iter().all(is_same)
    }

    /// The files that are read.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|part| if let TemplatePart::File(path) = part { Some(path.as_path()) } else { None })
    }
}

impl TemplatePart {
    fn reference(text: &str) -> Result<Self, String> {
        let unknown = || "unknown reference; write ${env:NAME} or ${file:PATH}, and $$ for a dollar sign".to_owned();
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        match scheme {
            "file" if !rest.is_empty() => Ok(Self::File(rest.into())),
            "env" => {
                let (name, default) = rest.split_once(":-").map_or((rest, None), |(name, default)| (name, Some(default.to_owned())));
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    return Err(unknown());
                }
                Ok(Self::Variable { name: name.to_owned(), default })
            }
            _ => Err(unknown()),
        }
    }
}

fn read(path: &Path) -> Result<String, SecretError> {
    let bytes = open_regular_file(path)
        .and_then(|file| read_limited(file, FILE_BYTES_MAX))
        .map_err(|error| SecretError::File(path.to_owned(), error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(SecretError::TooLarge(path.to_owned()));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(path.to_owned()))?;
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    // Editors of Windows write it, and it is invisible.
    text.drain(..text.len() - without_byte_order_mark(&text).len());
    Ok(text)
}
