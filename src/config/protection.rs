//! The protections of the pull endpoint that a changed configuration would remove.
//!
//! # A running endpoint rejects such a change
//!
//! A file that is truncated, rendered from an empty template or replaced by a comment would otherwise remove every protection. An
//! operator who intends that restarts Postmeter or sets `allow_unprotected: true`. Granting access to another token, user or network
//! cannot happen by accident and is accepted.

use super::Prometheus;
use super::access::Auth;
use super::server_tls::ServerTls;
use ipnet::IpNet;

impl Auth {
    /// Returns `true` if the trusted networks together contain every IPv4 address or every IPv6 address.
    #[must_use]
    pub fn trusts_every_client(&self) -> bool {
        IpNet::aggregate(&self.trusted).iter().any(|network| network.prefix_len() == 0)
    }
}

impl Prometheus {
    /// Describes the protections that `changed` removes; empty if `changed` allows that.
    #[must_use]
    pub fn lost_protections(&self, changed: &Self) -> Vec<&'static str> {
        if changed.allow_unprotected {
            return Vec::new();
        }
        let (before, after) = (self.server_tls(), changed.server_tls());
        let restricts_names =
            |tls: Option<&ServerTls>| tls.is_some_and(|tls| tls.requires_client_certificate() && !tls.client_allowed_sans.is_empty());
        let requires_certificate = |tls: Option<&ServerTls>| tls.is_some_and(ServerTls::requires_client_certificate);
        let is_limited =
            |config: &Self| config.rate_limit.is_some() || config.web_config.as_ref().is_some_and(|web| web.rate_limit.is_some());
        let lost = [
            (self.is_restricted() && !changed.is_restricted(), "every client could read it"),
            (self.authenticates() && !changed.authenticates() && changed.is_restricted(), "no credentials would be required"),
            (before.is_some() && after.is_none(), "connections would not be encrypted"),
            (requires_certificate(before) && !requires_certificate(after), "client certificates would not be required"),
            (restricts_names(before) && !restricts_names(after), "client_allowed_sans would be empty"),
            (is_limited(self) && !is_limited(changed), "requests would not be rate-limited"),
        ];
        lost.into_iter().filter(|(is_lost, _)| *is_lost).map(|(_, description)| description).collect()
    }

    /// Returns `true` if a request needs a token, a password or a trusted address.
    pub(super) fn authenticates(&self) -> bool {
        let users = self.web_config.as_ref().is_some_and(|web| !web.users.is_empty());
        (users || !self.auth.is_none()) && !self.auth.trusts_every_client()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::config::{Environment, Prometheus, parse};

    fn prometheus(keys: &str) -> Prometheus {
        let text = format!(
            "targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\nexport: {{prometheus: {{listen: 'localhost:0', {keys}}}}}"
        );
        parse(&text, "postmeter.yaml", &Environment::default()).unwrap().export.prometheus.unwrap()
    }

    #[track_caller]
    fn loses(before: &str, after: &str, expected: &[&str]) {
        let (before, after) = (prometheus(before), prometheus(after));
        assert_eq!(before.lost_protections(&after), expected);
    }

    const TOKEN: &str = "tokens: [{name: a, sha256: ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb}]";
    const USER: &str = "basic: {bob: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}";

    #[test]
    fn removed_protections_are_found() {
        let auth = |keys: &str| format!("auth: {{{keys}}}");
        let (token, user, trusted) = (auth(TOKEN), auth(USER), auth("trusted: [192.0.2.0/24]"));
        let open = "every client could read it";
        loses(&token, "", &[open]);
        loses(&trusted, "", &[open]);
        loses(&token, &auth("trusted: [0.0.0.0/0]"), &[open]);
        loses(&token, &auth(&format!("{TOKEN}, trusted: ['::/0']")), &[open]);
        loses(&token, &auth(&format!("{TOKEN}, trusted: [0.0.0.0/1, 128.0.0.0/1]")), &[open]);
        loses(&token, &trusted, &[]);
        loses(&format!("{token}, rate_limit: {{per_minute: 12}}"), &token, &["requests would not be rate-limited"]);
        // Access that is granted by name is intended.
        loses(&token, &user, &[]);
        loses(&token, &auth(&format!("{TOKEN}, {USER}, trusted: [192.0.2.7]")), &[]);
        loses("", &token, &[]);
        loses("", "", &[]);
        loses(&token, "allow_unprotected: true", &[]);
    }
}
