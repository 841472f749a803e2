//! Exporters for Postmeter's own telemetry, by gRPC: `opentelemetry-otlp`, as `telemetry.otlp` configures it.

use super::self_telemetry::SelfTelemetryError;
use crate::config::{Compression, TelemetryOtlp};
use crate::net::{Redactor, install_crypto_provider};
use http::HeaderValue;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::ClientTlsConfig;

pub(super) fn spans(way: &TelemetryOtlp) -> Result<SpanExporter, SelfTelemetryError> {
    configured(SpanExporter::builder().with_tonic(), way)?.build().map_err(SelfTelemetryError::new)
}

pub(super) fn logs(way: &TelemetryOtlp) -> Result<LogExporter, SelfTelemetryError> {
    configured(LogExporter::builder().with_tonic(), way)?.build().map_err(SelfTelemetryError::new)
}

pub(super) fn metrics(way: &TelemetryOtlp) -> Result<MetricExporter, SelfTelemetryError> {
    configured(MetricExporter::builder().with_tonic(), way)?.build().map_err(SelfTelemetryError::new)
}

/// Hides what requests to this receiver carry: it may repeat that in errors, which the exporter logs.
pub(super) fn secrets(way: &TelemetryOtlp) -> Redactor {
    let values = way.headers.iter().filter_map(|(_, value)| HeaderValue::from_str(&value.read().ok()?).ok());
    Redactor::new(&values.collect::<Vec<_>>(), [way.endpoint.as_str()])
}

fn configured<B: WithExportConfig + WithTonicConfig>(builder: B, way: &TelemetryOtlp) -> Result<B, SelfTelemetryError> {
    let mut builder = builder.with_endpoint(&way.endpoint).with_timeout(way.timeout).with_metadata(headers(way)?);
    if way.compression == Compression::Gzip {
        builder = builder.with_compression(opentelemetry_otlp::Compression::Gzip);
    }
    if way.endpoint.starts_with("https://") {
        builder = builder.with_tls_config(tls(way)?);
    }
    Ok(builder)
}

fn headers(way: &TelemetryOtlp) -> Result<MetadataMap, SelfTelemetryError> {
    let mut headers = MetadataMap::new();
    for (name, value) in &way.headers {
        let key: AsciiMetadataKey = name.to_ascii_lowercase().parse().map_err(SelfTelemetryError::new)?;
        let mut value: AsciiMetadataValue = value.read().map_err(SelfTelemetryError::new)?.parse().map_err(SelfTelemetryError::new)?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn tls(way: &TelemetryOtlp) -> Result<ClientTlsConfig, SelfTelemetryError> {
    install_crypto_provider();
    Ok(way.tls.files().read().map_err(SelfTelemetryError::new)?.for_grpc(way.tls.server_name.as_deref()))
}
