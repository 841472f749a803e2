//! Which protections of the pull endpoint a changed configuration would take away.
//!
//! # Why a running endpoint refuses that
//!
//! A file that is truncated, templated from nothing or replaced by a comment is read as "nothing is protected". Whoever means it
//! restarts, or writes `allow_unprotected: true`. A change that grants access by name - another token, user or network - can only be
//! written on purpose, and is taken.

use super::Prometheus;
use super::access::Auth;
use super::server_tls::ServerTls;
use ipnet::IpNet;

impl Auth {
    /// Whether the trusted networks hold every address of IPv4 or of IPv6, in one network or in several.
    #[must_use]
    pub fn trusts_everybody(&self) -> bool {
        IpNet::aggregate(&self.trusted).iter().any(|network| network.prefix_len() == 0)
    }
}

impl Prometheus {
    /// The protections that `changed` no longer has, for the operator; none where it allows that.
    #[must_use]
    pub fn lost_protections(&self, changed: &Self) -> Vec<&'static str> {
        if changed.allow_unprotected {
            return Vec::new();
        }
        let (before, after) = (self.server_tls(), changed.server_tls());
        let asks_for_names = |tls: Option<&ServerTls>| tls.is_some_and(|tls| tls.keeps_out() && !tls.client_allowed_sans.is_empty());
        let keeps_out = |tls: Option<&ServerTls>| tls.is_some_and(ServerTls::keeps_out);
        let is_limited =
            |config: &Self| config.rate_limit.is_some() || config.web_config.as_ref().is_some_and(|web| web.rate_limit.is_some());
        let lost = [
            (self.is_closed() && !changed.is_closed(), "everybody could read it"),
            (self.authenticates() && !changed.authenticates() && changed.is_closed(), "neither a token nor a password would be needed"),
            (before.is_some() && after.is_none(), "its connections would not be encrypted"),
            (keeps_out(before) && !keeps_out(after), "clients would not need a certificate of client_ca_file"),
            (asks_for_names(before) && !asks_for_names(after), "client_allowed_sans would name nobody"),
            (is_limited(self) && !is_limited(changed), "no rate_limit would be left"),
        ];
        lost.into_iter().filter(|(is_lost, _)| *is_lost).map(|(_, what)| what).collect()
    }

    /// Whether a request needs a token, a password or a trusted address.
    pub(super) fn authenticates(&self) -> bool {
        let users = self.web_config.as_ref().is_some_and(|web| !web.users.is_empty());
        (users || !self.auth.is_none()) && !self.auth.trusts_everybody()
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
    fn what_opens_the_endpoint_is_found() {
        let auth = |keys: &str| format!("auth: {{{keys}}}");
        let (token, user, trusted) = (auth(TOKEN), auth(USER), auth("trusted: [192.0.2.0/24]"));
        let everybody = "everybody could read it";
        loses(&token, "", &[everybody]);
        loses(&trusted, "", &[everybody]);
        loses(&token, &auth("trusted: [0.0.0.0/0]"), &[everybody]);
        loses(&token, &auth(&format!("{TOKEN}, trusted: ['::/0']")), &[everybody]);
        loses(&token, &auth(&format!("{TOKEN}, trusted: [0.0.0.0/1, 128.0.0.0/1]")), &[everybody]);
        loses(&token, &trusted, &[]);
        loses(&format!("{token}, rate_limit: {{per_minute: 12}}"), &token, &["no rate_limit would be left"]);
        // What is granted by name is meant.
        loses(&token, &user, &[]);
        loses(&token, &auth(&format!("{TOKEN}, {USER}, trusted: [192.0.2.7]")), &[]);
        loses("", &token, &[]);
        loses("", "", &[]);
        loses(&token, "allow_unprotected: true", &[]);
    }
}
