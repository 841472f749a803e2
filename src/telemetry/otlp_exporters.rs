//! Exporters for Postmeter's own telemetry, by gRPC: `opentelemetry-otlp`, as `telemetry.otlp` configures it.

use super::self_telemetry::SelfTelemetryError;
use crate::config::{Compression, TelemetryOtlp};
use crate::net::Redactor;
use http::HeaderValue;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

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
    crate::poll::use_ring();
    let file =
        |path: &std::path::Path| std::fs::read(path).map_err(|error| SelfTelemetryError::new(format!("{}: {error}", path.display())));
    let mut tls = match &way.tls.ca_file {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(file(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let (Some(cert), Some(key)) = (&way.tls.cert_file, &way.tls.key_file) {
        tls = tls.identity(Identity::from_pem(file(cert)?, file(key)?));
    }
    if let Some(name) = &way.tls.server_name {
        tls = tls.domain_name(name);
    }
    Ok(tls)
}
