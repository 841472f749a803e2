//! The exporters: `export:`.

use super::decode::{Decoder, is_true};
use super::listeners::PULL_LISTENER;
use super::map::{Item, Location};
use super::otel::Signal;
use super::schema::EXPORT;
use super::text::suggestion;
use super::{Otlp, Prometheus};

/// The exporters of mail metrics.
#[derive(Clone, Debug)]
pub struct Export {
    /// Key `otlp`: pushes over OTLP. If the key is absent, it is enabled if `OTEL_METRICS_EXPORTER` names otlp, or is not set while an
    /// `OTEL_EXPORTER_OTLP_[METRICS_]ENDPOINT` is.
    pub otlp: Option<Otlp>,
    /// Key `prometheus`: serves scrapes. If the key is absent, it is enabled unless `OTEL_METRICS_EXPORTER` names other exporters only.
    pub prometheus: Option<Prometheus>,
}

impl Export {
    /// No exporter is enabled.
    #[must_use]
    pub const fn off() -> Self {
        Self { otlp: None, prometheus: None }
    }

    /// Decodes the exporters. `is_disabled` is `OTEL_SDK_DISABLED`, which overrides the file.
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>, is_disabled: bool) -> Self {
        let location = item.map_or_else(|| Location { path: "export".to_owned(), ..Location::default() }, |item| item.location.clone());
        let export = Self::decode_keys(decoder, item);
        if is_disabled {
            decoder.warn(&Location::variable("OTEL_SDK_DISABLED"), "nothing is exported");
            decoder.listeners.retain(|listener| listener.key != PULL_LISTENER);
            return Self::off();
        }
        if export.otlp.is_none() && export.prometheus.is_none() {
            decoder.warn(&location, "no exporter is enabled: neither otlp nor prometheus is on, so nothing is polled after the start");
        }
        export
    }

    fn decode_keys(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = decoder.map_or_empty(item, EXPORT);
        let (otlp, prometheus) = (map.take("otlp"), map.take("prometheus"));
        decoder.finish(map);
        let exporters = exporters_from_environment(decoder);
        let has_endpoint = decoder.otlp_variable(Signal::Mail, "ENDPOINT").is_some();
        let otlp_default = exporters.as_ref().map_or(has_endpoint, |exporters| exporters.otlp);
        let prometheus_default = exporters.as_ref().is_none_or(|exporters| exporters.prometheus);
        let is_otlp_enabled = decoder.is_enabled(otlp.as_ref(), otlp_default);
        let otlp = is_otlp_enabled.then(|| Otlp::decode(decoder, otlp.as_ref().filter(|item| !is_true(item))));
        let is_prometheus_enabled = decoder.is_enabled(prometheus.as_ref(), prometheus_default);
        let prometheus = is_prometheus_enabled.then(|| Prometheus::decode(decoder, prometheus.as_ref().filter(|item| !is_true(item))));
        Self { otlp, prometheus }
    }
}

/// The exporters that `OTEL_METRICS_EXPORTER` names.
struct Exporters {
    otlp: bool,
    prometheus: bool,
}

fn exporters_from_environment(decoder: &mut Decoder<'_>) -> Option<Exporters> {
    let variable = decoder.otel_variable("OTEL_METRICS_EXPORTER")?;
    let mut names_any = false;
    let mut exporters = Exporters { otlp: false, prometheus: false };
    for name in variable.value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "otlp" => exporters.otlp = true,
            "prometheus" => exporters.prometheus = true,
            "none" => {}
            _ => {
                let message = format!("unknown exporter {name:?}; {}", suggestion(name, &["otlp", "prometheus", "none"]));
                decoder.warn(&Location::variable(&variable.name), message);
                continue;
            }
        }
        names_any = true;
    }
    names_any.then_some(exporters)
}
