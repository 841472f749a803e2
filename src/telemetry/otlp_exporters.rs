//! The OTLP/gRPC exporters of Postmeter's own telemetry (`telemetry.otlp`).

use super::logged_exporter::LoggedExporter;
use super::self_telemetry::SelfTelemetryError;
use crate::config::{Compression, TelemetryOtlp};
use crate::net::{Redactor, install_crypto_provider, masked_url};
use http::HeaderValue;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::ClientTlsConfig;

pub(super) fn span_exporter(config: &TelemetryOtlp, is_over: &Arc<AtomicBool>) -> Result<LoggedExporter<SpanExporter>, SelfTelemetryError> {
    let exporter = configured(SpanExporter::builder().with_tonic(), config)?.build().map_err(SelfTelemetryError::new)?;
    Ok(logged(exporter, "traces", config, is_over))
}

pub(super) fn log_exporter(config: &TelemetryOtlp, is_over: &Arc<AtomicBool>) -> Result<LoggedExporter<LogExporter>, SelfTelemetryError> {
    let exporter = configured(LogExporter::builder().with_tonic(), config)?.build().map_err(SelfTelemetryError::new)?;
    Ok(logged(exporter, "logs", config, is_over))
}

pub(super) fn metric_exporter(
    config: &TelemetryOtlp,
    is_over: &Arc<AtomicBool>,
) -> Result<LoggedExporter<MetricExporter>, SelfTelemetryError> {
    let exporter = configured(MetricExporter::builder().with_tonic(), config)?.build().map_err(SelfTelemetryError::new)?;
    Ok(logged(exporter, "metrics", config, is_over))
}

fn logged<E>(exporter: E, signal: &'static str, config: &TelemetryOtlp, is_over: &Arc<AtomicBool>) -> LoggedExporter<E> {
    LoggedExporter::new(exporter, signal, masked_url(&config.endpoint), secrets(config), is_over.clone())
}

/// The secrets in requests to the receiver, which may repeat them in errors that the exporter logs.
pub(super) fn secrets(config: &TelemetryOtlp) -> Redactor {
    let values = config.headers.iter().filter_map(|(_, value)| HeaderValue::from_str(&value.read().ok()?).ok());
    Redactor::new(&values.collect::<Vec<_>>(), [config.endpoint.as_str()])
}

fn configured<B: WithExportConfig + WithTonicConfig>(builder: B, config: &TelemetryOtlp) -> Result<B, SelfTelemetryError> {
    let mut builder = builder.with_endpoint(&config.endpoint).with_timeout(config.timeout).with_metadata(headers(config)?);
    if config.compression != Compression::None {
        builder = builder.with_compression(opentelemetry_otlp::Compression::Gzip);
    }
    if config.endpoint.starts_with("https://") {
        builder = builder.with_tls_config(tls(config)?);
    }
    Ok(builder)
}

fn headers(config: &TelemetryOtlp) -> Result<MetadataMap, SelfTelemetryError> {
    let mut headers = MetadataMap::new();
    for (name, value) in &config.headers {
        let key: AsciiMetadataKey = name.to_ascii_lowercase().parse().map_err(SelfTelemetryError::new)?;
        let mut value: AsciiMetadataValue = value.read().map_err(SelfTelemetryError::new)?.parse().map_err(SelfTelemetryError::new)?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn tls(config: &TelemetryOtlp) -> Result<ClientTlsConfig, SelfTelemetryError> {
    install_crypto_provider();
    Ok(config.tls.files().read().map_err(SelfTelemetryError::new)?.for_grpc(config.tls.server_name.as_deref()))
}
