//! The exporters and Postmeter's own telemetry in the effective configuration.

use super::target::url;
use super::{Section, bytes, choice, duration, flag, mask, masked, number, path, text, texts, texts_if_any, tls};
use crate::config::otlp::{COMPRESSIONS, HISTOGRAM_FORMS, PROTOCOLS, TEMPORALITIES};
use crate::config::schema::{
    AUTH, EXPORT, OTLP, PROMETHEUS, QUEUE, RATE_LIMIT, RETRY, SERVER_TLS, SPOOL, TELEMETRY, TELEMETRY_OTLP, TOKEN,
};
use crate::config::server_tls::{CLIENT_AUTH, MAX_VERSIONS, MIN_VERSIONS};
use crate::config::telemetry::{FORMATS, LEVELS};
use crate::config::yaml::Written;
use crate::config::{Auth, Export, Otlp, Pem, Prometheus, Queue, Secret, ServerTls, Telemetry, TelemetryOtlp, Token};
use crate::model::TranslationStrategy;

pub(super) fn section(export: &Export) -> Written {
    let mut section = Section::new(EXPORT);
    section.set("otlp", export.otlp.as_ref().map_or_else(|| flag(false), otlp));
    section.set("prometheus", export.prometheus.as_ref().map_or_else(|| flag(false), prometheus));
    section.into()
}

fn otlp(otlp: &Otlp) -> Written {
    let Otlp {
        endpoint,
        protocol,
        interval,
        timeout,
        compression,
        max_request_bytes,
        headers,
        tls: tls_settings,
        temporality,
        histograms,
        queue,
    } = otlp;
    let mut section = Section::new(OTLP);
    section.set("endpoint", url(endpoint));
    section.set_some("protocol", choice(PROTOCOLS, protocol));
    section.set("interval", duration(*interval));
    section.set("timeout", duration(*timeout));
    section.set_some("compression", choice(COMPRESSIONS, compression));
    section.set("max_request_bytes", bytes(*max_request_bytes));
    section.set("headers", header_names(headers));
    section.set("tls", tls(tls_settings));
    section.set_some("temporality", choice(TEMPORALITIES, temporality));
    section.set_some("histograms", choice(HISTOGRAM_FORMS, histograms));
    set_queue(&mut section, queue);
    section.into()
}

fn header_names(headers: &[(String, Secret)]) -> Written {
    masked(headers.iter().map(|(name, _)| name.as_str()))
}

fn set_queue(section: &mut Section, Queue { max_bytes, retry, spool }: &Queue) {
    let mut queue = Section::new(QUEUE);
    queue.set("max_bytes", bytes(*max_bytes));
    section.set("queue", queue.into());
    let mut backoff = Section::new(RETRY);
    backoff.set("initial", duration(retry.initial));
    backoff.set("max", duration(retry.max));
    backoff.set_some("give_up_after", retry.give_up_after.map(duration));
    section.set("retry", backoff.into());
    section.set_some(
        "spool",
        spool.as_ref().map(|spool| {
            let mut section = Section::new(SPOOL);
            section.set("dir", path(&spool.dir));
            section.set("max_bytes", bytes(spool.max_bytes));
            section.into()
        }),
    );
}

fn prometheus(prometheus: &Prometheus) -> Written {
    let mut section = Section::new(PROMETHEUS);
    section.set("listen", text(&prometheus.listen));
    section.set_some("auth", (prometheus.auth != Auth::default()).then(|| auth(&prometheus.auth)));
    section.set_some(
        "rate_limit",
        prometheus.rate_limit.map(|limit| {
            let mut section = Section::new(RATE_LIMIT);
            section.set("per_minute", number(limit.per_minute));
            section.set("burst", number(limit.burst));
            section.into()
        }),
    );
    section.set_some("tls", prometheus.tls.as_ref().map(server_tls));
    section.set_some("web_config_file", prometheus.web_config.as_ref().map(|web| path(&web.path)));
    section.set("allow_unprotected", flag(prometheus.allow_unprotected));
    section.set("scrape_wait_max", duration(prometheus.scrape_wait_max));
    section.set_some("translation_strategy", choice(&TranslationStrategy::ALL, &prometheus.translation));
    section.set("scope_labels", flag(prometheus.scope_labels));
    section.set("created_lines", flag(prometheus.created_lines));
    section.into()
}

/// Clients that may read. The hashes of their credentials are masked, because passwords can be guessed from them.
fn auth(auth: &Auth) -> Written {
    let token = |token: &Token| {
        let mut section = Section::new(TOKEN);
        section.set("name", text(&token.name));
        section.set("sha256", mask());
        section.set_some("expires", token.expires.map(|expires| text(&expires.to_string())));
        section.into()
    };
    let networks: Vec<String> = auth.trusted.iter().map(ToString::to_string).collect();
    let mut section = Section::new(AUTH);
    section.set("tokens", Written::List(auth.tokens.iter().map(token).collect()));
    section.set("basic", masked(auth.basic.iter().map(|user| user.name.as_str())));
    section.set("trusted", texts(networks.iter().map(String::as_str)));
    section.set("open", texts(auth.open.iter().copied()));
    section.into()
}

pub(super) fn server_tls(tls: &ServerTls) -> Written {
    let mut section = Section::new(SERVER_TLS);
    set_pem(&mut section, "cert_file", "cert", Some(&tls.certificate));
    set_pem(&mut section, "key_file", "key", Some(&tls.key));
    set_pem(&mut section, "client_ca_file", "client_ca", tls.client_ca.as_ref());
    section.set_some("client_auth_type", choice(&CLIENT_AUTH, &tls.client_auth));
    section.set_some("client_allowed_sans", texts_if_any(tls.client_allowed_sans.iter().map(String::as_str)));
    section.set_some("min_version", choice(&MIN_VERSIONS, &tls.min_version));
    section.set_some("max_version", choice(&MAX_VERSIONS, &tls.max_version));
    section.set("cipher_suites", texts(tls.cipher_suites.iter().map(String::as_str)));
    section.set("curve_preferences", texts(tls.curve_preferences.iter().map(String::as_str)));
    section.set("prefer_server_cipher_suites", flag(tls.prefer_server_cipher_suites));
    section.into()
}

fn set_pem(section: &mut Section, file: &'static str, inline: &'static str, pem: Option<&Pem>) {
    match pem {
        Some(Pem::File(file_path)) => section.set(file, path(file_path)),
        Some(Pem::Inline(_)) => section.set(inline, mask()),
        None => {}
    }
}

pub(super) fn telemetry(telemetry: &Telemetry) -> Written {
    let mut section = Section::new(TELEMETRY);
    section.set_some("log_format", choice(FORMATS, &telemetry.log_format));
    section.set_some("log_level", choice(LEVELS, &telemetry.log_level));
    section.set("idle_after", duration(telemetry.idle_after));
    section.set("otlp", telemetry.otlp.as_ref().map_or_else(|| flag(false), telemetry_otlp));
    section.into()
}

fn telemetry_otlp(otlp: &TelemetryOtlp) -> Written {
    let TelemetryOtlp { endpoint, interval, timeout, compression, headers, tls: tls_settings, traces, metrics, logs } = otlp;
    let mut section = Section::new(TELEMETRY_OTLP);
    section.set("endpoint", url(endpoint));
    section.set("interval", duration(*interval));
    section.set("timeout", duration(*timeout));
    section.set_some("compression", choice(COMPRESSIONS, compression));
    section.set("headers", header_names(headers));
    section.set("tls", tls(tls_settings));
    section.set("traces", flag(*traces));
    section.set("metrics", flag(*metrics));
    section.set("logs", flag(*logs));
    section.into()
}
