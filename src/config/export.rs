//! The ways out: `export:`.

use super::access::{Auth, RateLimit};
use super::decode::{Decoder, Item, KeyPath, instead};
use super::otel::{Signal, from};
use super::server_tls::ServerTls;
use super::yaml::Value;
use super::{Otlp, WebConfig};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where Prometheus finds us, unless said otherwise: OpenTelemetry's defaults.
pub const PROMETHEUS_HOST_DEFAULT: &str = "localhost";
/// The port besides.
pub const PROMETHEUS_PORT_DEFAULT: u16 = 9464;

/// `scrape_wait_max` where it is left out: less than Prometheus' default timeout of 10 s.
pub const SCRAPE_WAIT_MAX_DEFAULT: Duration = Duration::from_secs(8);
/// The shortest and longest `scrape_wait_max`.
pub const SCRAPE_WAIT_MAX_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

/// `export:` the ways out. Left out: Prometheus on `localhost:9464`, and OTLP if an OTEL_ variable asks for it.
#[derive(Clone, Debug)]
pub struct Export {
    /// `otlp:` pushes; `otlp: {}` with every default, `otlp: false` never. Left out: off, unless `OTEL_METRICS_EXPORTER` names
    /// otlp, or is not set while an `OTEL_EXPORTER_OTLP_[METRICS_]ENDPOINT` is.
    pub otlp: Option<Otlp>,
    /// `prometheus:` is there to be scraped; `prometheus: false` is not. Left out: on, unless `OTEL_METRICS_EXPORTER` does not name it.
    pub prometheus: Option<Prometheus>,
}

/// `export.prometheus:` where Prometheus finds us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// `listen:` host and port. Left out: `OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT`, or else `localhost:9464`.
    pub listen: String,
    /// `auth:` who may read. Left out: everybody who reaches the address, or whom `web_config_file` names.
    pub auth: Auth,
    /// `tls:` with the keys of the exporter-toolkit's `tls_server_config`. Left out: plain HTTP, unless `web_config_file` says more.
    pub tls: Option<ServerTls>,
    /// `rate_limit:` of each client, `{per_minute: 12, burst: 4}`. Left out: none.
    pub rate_limit: Option<RateLimit>,
    /// `web_config_file:` a file in the exporter-toolkit's format, in place of `tls` and `auth.basic`; read again when it
    /// changes. Left out: none. A file that keeps nobody out is refused, unless `auth` or client certificates do.
    pub web_config: Option<WebConfig>,
    /// `allow_unprotected:` whether `web_config_file` may keep nobody out, and whether a change may take away users, tokens, TLS,
    /// client certificates or rate limits without a restart. Left out: false.
    pub allow_unprotected: bool,
    /// `scrape_wait_max:` how long a scrape waits for targets, and never longer than its own timeout. Telegraf gives up after 5 s, Zabbix
    /// after 3 s: set it below that. Left out: 8s.
    pub scrape_wait_max: Duration,
}

impl Export {
    /// Nothing goes out.
    #[must_use]
    pub const fn off() -> Self {
        Self { otlp: None, prometheus: None }
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = item.and_then(|item| decoder.map(item));
        let mut way = |key| map.as_mut().and_then(|map| map.take(key));
        let (otlp, prometheus) = (way("otlp"), way("prometheus"));
        if let Some(map) = map {
            decoder.finish(map);
        }
        let exporters = exporters(decoder);
        let endpoint = decoder.otlp(Signal::Mail, "ENDPOINT").is_some();
        let otlp_asked = exporters.as_ref().map_or(endpoint, |exporters| exporters.otlp);
        let prometheus_asked = exporters.as_ref().is_none_or(|exporters| exporters.prometheus);
        Self {
            otlp: is_on(decoder, otlp.as_ref(), otlp_asked).then(|| Otlp::decode(decoder, otlp.as_ref())),
            prometheus: is_on(decoder, prometheus.as_ref(), prometheus_asked).then(|| Prometheus::decode(decoder, prometheus.as_ref())),
        }
    }
}

/// `false` is off, anything else in the file is on, and otherwise the environment decides.
pub(super) fn is_on(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>, asked: bool) -> bool {
    match item {
        None => asked,
        Some(Item { node, .. }) if matches!(&node.value, Value::Scalar(text) if text == "false") => false,
        Some(item) => decoder.map(item).is_some(),
    }
}

/// What `OTEL_METRICS_EXPORTER` names.
struct Exporters {
    otlp: bool,
    prometheus: bool,
}

fn exporters(decoder: &mut Decoder<'_>) -> Option<Exporters> {
    let variable = decoder.otel("OTEL_METRICS_EXPORTER")?;
    let mut known = false;
    let mut exporters = Exporters { otlp: false, prometheus: false };
    for name in variable.value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "otlp" => exporters.otlp = true,
            "prometheus" => exporters.prometheus = true,
            "none" => {}
            _ => {
                let message = format!("unknown exporter {name:?}; {}", instead(name, &["otlp", "prometheus", "none"]));
                decoder.warn(&KeyPath::variable(&variable.name), message);
                continue;
            }
        }
        known = true;
    }
    known.then_some(exporters)
}

impl Prometheus {
    /// Plain HTTP for everybody on this address.
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
        }
    }

    /// Whether anything keeps anybody out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.authenticates() || self.server_tls().is_some_and(ServerTls::keeps_out)
    }

    /// The TLS that there is, here or in `web_config_file`.
    #[must_use]
    pub fn server_tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref().or_else(|| self.web_config.as_ref()?.tls.as_ref())
    }

    /// The files that it is in besides its own.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let web = self.web_config.as_ref().map(|web| web.path.as_path());
        web.into_iter().chain(self.server_tls().into_iter().flat_map(ServerTls::files)).map(Path::to_owned).collect()
    }

    fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = item.and_then(|item| decoder.map(item)).unwrap_or_default();
        let mut take = |key| map.take(key);
        let (listen, auth, tls) = (take("listen"), take("auth"), take("tls"));
        let (rate_limit, web_config, allow) = (take("rate_limit"), take("web_config_file"), take("allow_unprotected"));
        let scrape_wait = take("scrape_wait_max");
        decoder.finish(map);
        let mut place = listen.as_ref().map_or_else(KeyPath::default, |item| item.place.clone());
        let listen = listen.and_then(|item| {
            let text = decoder.word(&item)?;
            let checked = check_listen(&text);
            decoder.noted(&item.place, checked).map(|()| text)
        });
        if listen.is_none() {
            place = KeyPath::variable("OTEL_EXPORTER_PROMETHEUS_HOST");
        }
        let web_config_is_there = web_config.is_some();
        let web_config_place = web_config.as_ref().map(|item| item.place.clone());
        let problems = decoder.problems.len();
        let who = auth.as_ref().map(|item| Auth::decode(decoder, item)).unwrap_or_default();
        let who_is_sound = decoder.problems.len() == problems;
        let config = Self {
            listen: listen.unwrap_or_else(|| listen_from_environment(decoder)),
            auth: who,
            tls: tls.as_ref().and_then(|item| decode_tls(decoder, item)),
            rate_limit: rate_limit.and_then(|item| RateLimit::decode(decoder, &item)),
            web_config: web_config.and_then(|item| load_web_config(decoder, &item)),
            allow_unprotected: allow.and_then(|item| decoder.flag(&item)).unwrap_or(false),
            scrape_wait_max: scrape_wait
                .and_then(|item| decoder.duration(&item, &SCRAPE_WAIT_MAX_RANGE))
                .unwrap_or(SCRAPE_WAIT_MAX_DEFAULT),
        };
        let is_open = config.web_config.is_some() && who_is_sound && !config.is_closed() && !config.allow_unprotected;
        if let Some(place) = web_config_place.filter(|_| is_open) {
            decoder.problem(
                &place,
                "the file has no basic_auth_users, so everybody could read; name users in it or in auth, or write allow_unprotected: true",
            );
        }
        if let Some(item) = tls.filter(|_| web_config_is_there) {
            decoder.problem(&item.place, "web_config_file has tls_server_config for this; keep one");
        }
        // Users of web_config_file are asked for who they are as well, and it may have them later.
        let is_of_others = web_config_is_there && !config.auth.open.is_empty();
        if let Some(item) = auth.as_ref().filter(|_| who_is_sound && config.auth.is_none() && !is_of_others) {
            decoder.problem(&item.place, "names nobody; it needs tokens, basic or trusted, or leave it out for everybody");
        }
        if let Some(item) = auth.filter(|_| web_config_is_there && !config.auth.basic.is_empty()) {
            decoder.problem(&item.place, "web_config_file has basic_auth_users for basic; keep one");
        }
        config.warn(decoder, &place);
        config
    }

    /// What a network makes of it.
    fn warn(&self, decoder: &mut Decoder<'_>, place: &KeyPath) {
        for exposure in self.exposures() {
            decoder.warn(place, exposure);
        }
    }

    /// What others on the network can read, in words.
    #[must_use]
    pub fn exposures(&self) -> Vec<String> {
        let mut exposures = Vec::new();
        if is_loopback(&self.listen) {
            return exposures;
        }
        if !self.is_closed() {
            let listen = &self.listen;
            exposures.push(format!("everybody who reaches {listen} can read it; set export.prometheus.auth, or listen on localhost"));
        }
        let secrets = !self.auth.tokens.is_empty() || !self.auth.basic.is_empty();
        let secrets = secrets || self.web_config.as_ref().is_some_and(|web| !web.users.is_empty());
        if secrets && self.server_tls().is_none() {
            exposures.push("tokens and passwords come over the network without encryption; set export.prometheus.tls".to_owned());
        }
        exposures
    }
}

/// Nothing is meant by `tls: {}`.
fn decode_tls(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<ServerTls> {
    let problems = decoder.problems.len();
    let tls = ServerTls::decode(decoder, item, Path::new(""));
    if tls.is_none() && decoder.problems.len() == problems {
        decoder.problem(&item.place, "needs cert_file and key_file");
    }
    tls
}

fn load_web_config(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<WebConfig> {
    let path = PathBuf::from(decoder.word(item)?);
    match WebConfig::load(&path) {
        Ok((config, warnings)) => {
            decoder.warnings.extend(warnings);
            Some(config)
        }
        Err(problems) => {
            decoder.problem(&item.place, format!("{} has problems", path.display()));
            decoder.problems.extend(problems.iter().cloned());
            None
        }
    }
}

/// Whether only this machine can reach it.
fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn listen_from_environment(decoder: &mut Decoder<'_>) -> String {
    let port = |value: &str| value.parse::<u16>().map_err(|_| format!("{value:?} is no port"));
    let host = |value: &str| {
        let host = if value.contains(':') && !value.starts_with('[') { format!("[{value}]") } else { value.to_owned() };
        check_listen(&format!("{host}:0")).map(|()| host)
    };
    let host = from(decoder, |d| d.otel("OTEL_EXPORTER_PROMETHEUS_HOST"), host);
    let port = from(decoder, |d| d.otel("OTEL_EXPORTER_PROMETHEUS_PORT"), port);
    format!("{}:{}", host.as_deref().unwrap_or(PROMETHEUS_HOST_DEFAULT), port.unwrap_or(PROMETHEUS_PORT_DEFAULT))
}

/// Whether this is a host and a port; port 0 is any free one.
pub fn check_listen(text: &str) -> Result<(), String> {
    // A port alone, or a host alone.
    let is_port = text.parse::<u16>().is_ok();
    let (host, port) = if is_port { Some(("", text)) } else { text.rsplit_once(':') }
        .ok_or_else(|| format!("{text} has no port; write it as localhost:9464"))?;
    if host.is_empty() {
        return Err(format!("{text} has no host; write it as localhost:{port}, or 0.0.0.0:{port} for every address"));
    }
    port.parse::<u16>().map_err(|_| format!("{port:?} is no port"))?;
    let is_v6 =
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    if is_v6 || is_name { Ok(()) } else { Err(format!("{host} is no host; an IPv6 address is written as [::1]:{port}")) }
}
