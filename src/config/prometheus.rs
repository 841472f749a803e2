//! The pull endpoint: `export.prometheus:`.

use super::WebConfig;
use super::access::{Auth, RateLimit};
use super::decode::Decoder;
use super::listeners::{Listener, PULL_LISTENER};
use super::map::{Item, Location};
use super::otel::from_variable;
use super::schema::PROMETHEUS;
use super::server_tls::ServerTls;
use crate::model::TranslationStrategy;
use crate::net::masked_url;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The default host of `listen`, as OpenTelemetry specifies it.
const HOST_DEFAULT: &str = "localhost";
/// The default port of `listen`, as OpenTelemetry specifies it.
const PORT_DEFAULT: u16 = 9464;
/// The default of `scrape_wait_max`: less than Prometheus' default timeout of 10 s.
pub const SCRAPE_WAIT_MAX_DEFAULT: Duration = Duration::from_secs(8);

/// The pull endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// Key `listen`: host and port.
    pub listen: String,
    /// Key `auth`: the clients that may read.
    pub auth: Auth,
    /// Key `tls`: TLS, unless `web_config` configures it.
    pub tls: Option<ServerTls>,
    /// Key `rate_limit`: the limit per client address.
    pub rate_limit: Option<RateLimit>,
    /// Key `web_config_file`: a file in the exporter-toolkit's format, instead of `tls` and `auth.basic`. It is read again when it
    /// changes. A file that allows every client is rejected, unless `auth` or client certificates restrict access.
    pub web_config: Option<WebConfig>,
    /// Key `allow_unprotected`: `true` accepts a `web_config_file` that allows every client, and reloads that remove users, tokens, TLS,
    /// client certificates or rate limits.
    pub allow_unprotected: bool,
    /// Key `scrape_wait_max`: the longest time that a scrape waits for targets, within the scraper's own timeout.
    pub scrape_wait_max: Duration,
    /// Key `translation_strategy`: the translation of the names of canonical metrics.
    pub translation: TranslationStrategy,
    /// Key `scope_labels`: each series has the labels of its instrumentation scope.
    pub scope_labels: bool,
    /// Key `created_lines`: OpenMetrics has lines with start times.
    pub created_lines: bool,
}

impl Prometheus {
    /// Plain HTTP without authentication at this address.
    #[must_use]
    pub fn open(listen: impl Into<String>) -> Self {
        Self {
            listen: listen.into(),
            auth: Auth::default(),
            tls: None,
            rate_limit: None,
            web_config: None,
            allow_unprotected: false,
            scrape_wait_max: SCRAPE_WAIT_MAX_DEFAULT,
            translation: TranslationStrategy::default(),
            scope_labels: false,
            created_lines: false,
        }
    }

    /// Returns `true` if access is restricted by credentials, networks or client certificates.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.authenticates() || self.server_tls().is_some_and(ServerTls::requires_client_certificate)
    }

    /// Returns the TLS settings, of `tls` or of `web_config_file`.
    #[must_use]
    pub fn server_tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref().or_else(|| self.web_config.as_ref()?.tls.as_ref())
    }

    /// Returns the files that the settings refer to.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let web = self.web_config.as_ref().map(|web| web.path.as_path());
        web.into_iter().chain(self.server_tls().into_iter().flat_map(ServerTls::files)).map(Path::to_owned).collect()
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = decoder.map_or_empty(item, PROMETHEUS);
        let (listen, auth, tls) = (map.take("listen"), map.take("auth"), map.take("tls"));
        let (rate_limit, web_config) = (map.take("rate_limit"), map.take("web_config_file"));
        let allow_unprotected = map.flag_or_default(decoder, "allow_unprotected");
        let scrape_wait_max = map.duration_or_default(decoder, "scrape_wait_max");
        let translation = map.choice_or_default(decoder, "translation_strategy", &TranslationStrategy::ALL);
        let scope_labels = map.flag_or_default(decoder, "scope_labels");
        let created_lines = map.flag_or_default(decoder, "created_lines");
        decoder.finish(map);
        let (listen, listen_location) = decode_listen(decoder, listen.as_ref());
        let listener = Listener { key: PULL_LISTENER, location: listen_location.clone(), address: listen.clone() };
        decoder.listeners.push(listener);
        let problems = decoder.problems.len();
        let decoded_auth = auth.as_ref().map(|item| Auth::decode(decoder, item)).unwrap_or_default();
        let auth_is_valid = decoder.problems.len() == problems;
        let config = Self {
            listen,
            auth: decoded_auth,
            tls: tls.as_ref().and_then(|item| decode_tls(decoder, item)),
            rate_limit: rate_limit.and_then(|item| RateLimit::decode(decoder, &item)),
            web_config: web_config.as_ref().and_then(|item| load_web_config(decoder, item)),
            allow_unprotected,
            scrape_wait_max,
            translation,
            scope_labels,
            created_lines,
        };
        config.check(decoder, auth.as_ref().map(|item| (item, auth_is_valid)), tls.as_ref(), web_config.as_ref());
        for exposure in config.exposures() {
            decoder.warn(&listen_location, exposure);
        }
        config
    }

    /// Checks how the keys depend on each other. The items are the values of `auth`, with `true` if it is valid, of `tls` and of
    /// `web_config_file`.
    fn check(&self, decoder: &mut Decoder<'_>, auth: Option<(&Item<'_>, bool)>, tls: Option<&Item<'_>>, web_config: Option<&Item<'_>>) {
        let auth_is_valid = auth.is_none_or(|(_, is_valid)| is_valid);
        let is_open = self.web_config.is_some() && auth_is_valid && !self.is_restricted() && !self.allow_unprotected;
        if let Some(item) = web_config.filter(|_| is_open) {
            decoder.report(
                &item.location,
                "the file has no basic_auth_users, so every client could read it; add users to it or to auth, or set allow_unprotected: true",
            );
        }
        if let Some(item) = tls.filter(|_| web_config.is_some()) {
            decoder.report(&item.location, "excludes web_config_file, which has tls_server_config; remove one of them");
        }
        let Some((item, _)) = auth else { return };
        // Users may be added to web_config_file later, and `open` applies to them as well.
        let has_users_elsewhere = web_config.is_some() && !self.auth.open.is_empty();
        if auth_is_valid && self.auth.is_none() && !has_users_elsewhere {
            decoder.report(&item.location, "allows no client; add tokens, basic or trusted, or remove the key to allow every client");
        }
        if web_config.is_some() && !self.auth.basic.is_empty() {
            decoder.report(&item.location, "basic excludes web_config_file, which has basic_auth_users; remove one of them");
        }
    }

    /// Describes the data that other machines on the network can read.
    #[must_use]
    pub fn exposures(&self) -> Vec<String> {
        let mut exposures = Vec::new();
        if is_loopback(&self.listen) {
            return exposures;
        }
        if !self.is_restricted() {
            let listen = &self.listen;
            exposures.push(format!("every client that can reach {listen} can read it; set export.prometheus.auth, or listen on localhost"));
        }
        let has_secrets = !self.auth.tokens.is_empty() || !self.auth.basic.is_empty();
        let has_secrets = has_secrets || self.web_config.as_ref().is_some_and(|web| !web.users.is_empty());
        if has_secrets && self.server_tls().is_none() {
            exposures.push("tokens and passwords are sent over the network without encryption; set export.prometheus.tls".to_owned());
        }
        exposures
    }
}

/// Decodes TLS settings. An empty map is an error here, although it means plain HTTP in a web configuration file.
fn decode_tls(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<ServerTls> {
    let problems = decoder.problems.len();
    let tls = ServerTls::decode(decoder, item, Path::new(""));
    if tls.is_none() && decoder.problems.len() == problems {
        decoder.report(&item.location, "needs cert_file and key_file");
    }
    tls
}

fn load_web_config(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<WebConfig> {
    let path = PathBuf::from(decoder.path_text(item)?);
    match WebConfig::load(&path) {
        Ok((config, warnings)) => {
            decoder.warnings.extend(warnings);
            Some(config)
        }
        Err(problems) => {
            decoder.report(&item.location, format!("{} has errors", path.display()));
            decoder.problems.extend(problems.iter().cloned());
            None
        }
    }
}

/// Returns `true` if only this machine can reach the address.
pub(super) fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the address to listen on, and the location that determines it.
fn decode_listen(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> (String, Location) {
    let listen = item.and_then(|item| {
        let text = decoder.non_empty_text(item)?;
        let checked = check_listen(&text);
        decoder.ok_or_report(&item.location, checked).map(|()| (text, item.location.clone()))
    });
    listen.unwrap_or_else(|| (listen_from_environment(decoder), Location::variable("OTEL_EXPORTER_PROMETHEUS_HOST")))
}

fn listen_from_environment(decoder: &mut Decoder<'_>) -> String {
    let port = |value: &str| value.parse::<u16>().map_err(|_| format!("{value:?} is not a valid port"));
    let host = |value: &str| {
        let host = if value.contains(':') && !value.starts_with('[') { format!("[{value}]") } else { value.to_owned() };
        check_listen(&format!("{host}:0"))
            .map_err(|_| format!("{value:?} is neither an IP address, such as 0.0.0.0, nor the name of a host"))
            .map(|()| host)
    };
    let host = from_variable(decoder, |d| d.otel_variable("OTEL_EXPORTER_PROMETHEUS_HOST"), host);
    let port = from_variable(decoder, |d| d.otel_variable("OTEL_EXPORTER_PROMETHEUS_PORT"), port);
    format!("{}:{}", host.as_deref().unwrap_or(HOST_DEFAULT), port.unwrap_or(PORT_DEFAULT))
}

/// Checks that the text is a host and a port. Port 0 is any free port.
pub(super) fn check_listen(text: &str) -> Result<(), String> {
    if text.starts_with("unix:") || text.starts_with('/') {
        return Err(format!("{text} is a Unix socket, which is not supported; write a host and a port, such as localhost:9464"));
    }
    // The text may be a port without a host, or a host without a port.
    let is_port = text.parse::<u16>().is_ok();
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let address = after_scheme.split('/').next().unwrap_or_default();
    if address != text {
        return Err(format!("{} is a URL; write only its host and port: {}", masked_url(text), masked_url(address)));
    }
    let (host, port) = if is_port { Some(("", text)) } else { text.rsplit_once(':') }
        .ok_or_else(|| format!("{text} has no port; write it as localhost:9464"))?;
    if host.is_empty() {
        return Err(format!("{text} has no host; write it as localhost:{port}, or 0.0.0.0:{port} for every address"));
    }
    port.parse::<u16>().map_err(|_| format!("{port:?} is not a valid port"))?;
    if host == "*" {
        return Err(format!("* is not a valid host; write 0.0.0.0:{port} for every address"));
    }
    let is_v6 =
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    if is_v6 || is_name { Ok(()) } else { Err(format!("{host} is not a valid host; write an IPv6 address as [::1]:{port}")) }
}
