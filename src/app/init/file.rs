//! The first configuration file: one target.

use crate::config::{is_target_name, quoted};
use crate::source::Source;
use reqwest::Url;
use std::fmt::Write as _;
use std::path::Path;

/// The target of a first configuration file.
pub(super) struct FirstTarget {
    pub source: &'static Source,
    pub url: String,
    pub name: String,
    pub username: Option<String>,
    pub password: Option<SecretValue>,
    pub token: Option<SecretValue>,
}

/// The form in which a secret stands in the file.
pub(super) enum SecretValue {
    /// The secret itself.
    Plain(String),
    /// The name of an environment variable.
    Variable(String),
    /// The path of a file.
    File(String),
}

impl FirstTarget {
    /// A target without credentials. Without a name it is named after its host.
    pub(super) fn new(source: &'static Source, url: String, name: Option<String>) -> Self {
        let host = || Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let name = name.or_else(host).filter(|name| is_target_name(name)).unwrap_or_else(|| source.name.to_owned());
        Self { source, url, name, username: None, password: None, token: None }
    }

    pub(super) fn set_files(&mut self, password: Option<&Path>, token: Option<&Path>) {
        let file = |path: &Path| SecretValue::File(path.display().to_string());
        self.password = password.map(file);
        self.token = token.map(file);
    }

    /// Returns `true` if a password or a token stands in the file.
    pub(super) fn has_plain_secret(&self) -> bool {
        [&self.password, &self.token].into_iter().any(|secret| matches!(secret, Some(SecretValue::Plain(_))))
    }

    /// Returns the keys that are still needed.
    pub(super) fn missing_keys(&self) -> Option<&'static str> {
        let credential = self.source.required().credential;
        credential.missing_keys(self.username.is_some(), self.password.is_some(), self.token.is_some())
    }

    /// Fills missing credentials with references to environment variables that are named after the target.
    pub(super) fn refer_to_variables(&mut self) {
        let prefix: String = self.name.to_uppercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        // A variable must not begin with a digit.
        let prefix = if prefix.starts_with(|c: char| c.is_ascii_digit()) { format!("MAIL_{prefix}") } else { prefix };
        for key in self.source.required().credential.keys() {
            if self.missing_keys().is_none() {
                return;
            }
            let variable = || format!("{prefix}_{}", key.to_uppercase());
            match *key {
                "username" if self.username.is_none() => self.username = Some(format!("${{env:{}}}", variable())),
                "password" if self.password.is_none() => self.password = Some(SecretValue::Variable(variable())),
                "token" if self.token.is_none() => self.token = Some(SecretValue::Variable(variable())),
                _ => {}
            }
        }
    }

    /// The whole file.
    pub(super) fn yaml(&self) -> String {
        let mut text =
            format!("targets:\n  - name: {}\n    system: {}\n    url: {}\n", quoted(&self.name), self.source.name, quoted(&self.url));
        if let Some(username) = &self.username {
            let _ = writeln!(text, "    username: {}", quoted(username));
        }
        for (key, secret) in [("password", &self.password), ("token", &self.token)] {
            let _ = match secret {
                Some(SecretValue::Plain(secret)) => writeln!(text, "    {key}: {}", quoted(&escaped_reference(secret))),
                Some(SecretValue::Variable(name)) => writeln!(text, "    {key}: ${{env:{name}}}"),
                Some(SecretValue::File(path)) => writeln!(text, "    {key}_file: {}", quoted(path)),
                None => Ok(()),
            };
        }
        text
    }
}

/// Doubles dollar signs, which would begin a reference.
pub(super) fn escaped_reference(secret: &str) -> String {
    secret.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::{SOURCES, by_name};

    fn target(system: &str, url: &str, name: Option<&str>) -> FirstTarget {
        let mut target = FirstTarget::new(by_name(system).unwrap(), url.to_owned(), name.map(str::to_owned));
        target.refer_to_variables();
        target
    }

    #[test]
    fn missing_credentials_are_references() {
        assert_eq!(
            target("ceymail", "https://mx1.example.com", None).yaml(),
            "targets:\n  - name: mx1.example.com\n    system: ceymail\n    url: \"https://mx1.example.com\"\n    token: ${env:MX1_EXAMPLE_COM_TOKEN}\n"
        );
        assert_eq!(
            target("kumomta", "http://192.0.2.5:8000", None).yaml(),
            "targets:\n  - name: \"192.0.2.5\"\n    system: kumomta\n    url: \"http://192.0.2.5:8000\"\n"
        );
        assert!(target("cpanel", "https://a:2087", Some("7")).yaml().contains("${env:MAIL_7_TOKEN}"));
    }

    #[test]
    fn the_file_of_each_system_is_a_valid_configuration() {
        for source in SOURCES.iter() {
            let text = target(source.name, "https://mail.example.com:8443", Some("a-1")).yaml();
            let variables = ["A_1_USERNAME", "A_1_PASSWORD", "A_1_TOKEN"].map(|name| (name, "x"));
            let config = crate::config::parse(&text, "a.yaml", &variables.into_iter().collect());
            assert!(config.as_ref().is_ok_and(|config| config.warnings.is_empty()), "{text}\n{config:?}");
        }
    }

    #[test]
    fn secrets_are_written_so_that_they_are_read_unchanged() {
        for secret in ["simple", "a$b", "$TOKEN", "${env:X}", "q\"uote", "back\\slash", "ü: #x", "true", "0123", "'x'", "  "] {
            let mut target = FirstTarget::new(by_name("ceymail").unwrap(), "https://a".to_owned(), None);
            target.token = Some(SecretValue::Plain(secret.to_owned()));
            let config = crate::config::parse(&target.yaml(), "a.yaml", &Default::default()).unwrap();
            assert_eq!(config.targets[0].credentials.token.as_ref().unwrap().read().unwrap(), secret);
        }
    }
}
