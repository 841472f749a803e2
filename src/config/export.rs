//! The ways out: `export:`.

use super::Otlp;
use super::decode::{Decoder, Item, Place, instead};
use super::otel::{Signal, from};
use super::yaml::Value;

/// Where Prometheus finds us, unless said otherwise: OpenTelemetry's defaults.
pub const PROMETHEUS_HOST_DEFAULT: &str = "localhost";
/// The port besides.
pub const PROMETHEUS_PORT_DEFAULT: u16 = 9464;

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
                decoder.warn(&Place::variable(&variable.name), message);
                continue;
            }
        }
        known = true;
    }
    known.then_some(exporters)
}

impl Prometheus {
    fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = item.and_then(|item| decoder.map(item)).unwrap_or_default();
        let listen = map.take("listen");
        decoder.finish(map);
        let listen = listen.and_then(|item| {
            let text = decoder.word(&item)?;
            let checked = check_listen(&text);
            decoder.noted(&item.place, checked).map(|()| text)
        });
        Self { listen: listen.unwrap_or_else(|| listen_from_environment(decoder)) }
    }
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
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text} has no port; write it as localhost:9464"))?;
    if host.is_empty() {
        return Err(format!("{text} has no host; write it as localhost:{port}, or 0.0.0.0:{port} for every address"));
    }
    port.parse::<u16>().map_err(|_| format!("{port:?} is no port"))?;
    let is_v6 =
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    if is_v6 || is_name { Ok(()) } else { Err(format!("{host} is no host; an IPv6 address is written as [::1]:{port}")) }
}
