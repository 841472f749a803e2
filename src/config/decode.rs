//! Decodes the configuration file: a decoder with the context that its values depend on.

use super::listeners::Listener;
use super::map::{Item, Location};
use super::template::Template;
use super::yaml::{self, Positions, References};
use super::{Environment, Origin, Secret, SecretError};
use crate::source::SystemList;
use std::ops::{Deref, DerefMut};

pub(super) use super::yaml::{find_choice, is_true};

/// The decoder of a configuration file, and the context of decoding.
pub(super) struct Decoder<'a> {
    decoder: yaml::Decoder<'a>,
    pub environment: &'a Environment,
    pub systems: SystemList,
    /// `true` if a definition of a mail system has problems, so that its name is not known.
    pub has_broken_systems: bool,
    /// `true` if the file names a directory for state.
    pub has_state_dir: bool,
    /// `true` if the file has a listener for delivery records.
    pub has_receiver: bool,
    /// `true` if metrics are pushed over HTTP to a URL from which the URL of logs cannot be derived.
    pub logs_url_is_unknown: bool,
    /// The listeners whose addresses are valid.
    pub listeners: Vec<Listener>,
}

impl<'a> Decoder<'a> {
    /// Creates a decoder for a file.
    pub(super) const fn new(file: &'a str, environment: &'a Environment, systems: SystemList) -> Self {
        let decoder = yaml::Decoder::new(file, environment, Positions::Lines);
        Self {
            decoder,
            environment,
            systems,
            has_broken_systems: false,
            has_state_dir: false,
            has_receiver: false,
            logs_url_is_unknown: false,
            listeners: Vec::new(),
        }
    }

    /// Returns the errors and the warnings.
    pub(super) fn into_findings(self) -> (Vec<yaml::Problem>, Vec<yaml::Problem>) {
        (self.decoder.problems, self.decoder.warnings)
    }
}

impl<'a> Deref for Decoder<'a> {
    type Target = yaml::Decoder<'a>;

    fn deref(&self) -> &yaml::Decoder<'a> {
        &self.decoder
    }
}

impl<'a> DerefMut for Decoder<'a> {
    fn deref_mut(&mut self) -> &mut yaml::Decoder<'a> {
        &mut self.decoder
    }
}

impl References for Environment {
    fn resolve(&self, text: &str) -> Result<String, String> {
        Template::parse(text)?.resolve(self).map_err(|error| error.to_string())
    }
}

impl Decoder<'_> {
    /// Returns the file and the line of a location.
    pub(super) fn origin(&self, location: &Location) -> Origin {
        Origin { file: self.file_of(location).to_owned(), line: location.line }
    }

    /// Decodes a secret and returns it with its current value. If it cannot be read, the error is reported and the secret is
    /// returned nevertheless, because later checks depend on whether the key is present.
    pub(super) fn secret(&mut self, item: &Item<'_>, is_path: bool) -> (Secret, Option<String>) {
        let template = match is_path {
            true => self.path_text(item).map(Template::file),
            false => self.raw_text(item).and_then(|text| self.ok_or_report(&item.location, inline_secret(text))),
        };
        let Some(template) = template else { return (Secret::plain(""), None) };
        let secret = Secret::new(template, self.environment);
        let value = secret.read().map_err(|error| match error {
            SecretError::Empty => "the secret is empty".to_owned(),
            error => error.to_string(),
        });
        let value = self.ok_or_report(&item.location, value);
        (secret, value)
    }
}

/// Parses a secret that the file contains. The error does not quote it.
fn inline_secret(text: &str) -> Result<Template, String> {
    if Template::has_shell_variable(text) {
        let advice = "write ${env:NAME} for an environment variable, and $$ for a dollar sign";
        return Err(format!("a $ that begins a name is not replaced; {advice}"));
    }
    Template::parse(text)
}
