//! The credentials of all requests to a target. A response may repeat the credential of another request than its own: that of another part,
//! of the delivery log, or the password that a ticket was issued for. So there is one redactor for the whole target.

use super::delivery_secrets::DeliverySecrets;
use super::part_credentials::PartCredentials;
use crate::config;
use crate::net::Redactor;
use http::HeaderValue;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The credentials of all requests to a target, and those of the requests that it sends.
#[derive(Debug)]
pub(super) struct TargetCredentials {
    /// Those of the parts, and of the delivery log.
    parts: Vec<Arc<PartCredentials>>,
    of_deliveries: DeliverySecrets,
}

impl TargetCredentials {
    pub(super) fn new(target: &config::Target) -> Self {
        let parts = target.parts.iter().chain(target.delivery_log.iter().map(|log| &log.part));
        let parts = parts.map(|part| Arc::new(PartCredentials::new(part.part, &part.credentials))).collect();
        Self { parts, of_deliveries: DeliverySecrets::new(target.deliveries.as_ref()) }
    }

    /// The credentials of a part of the target, or of its delivery log.
    pub(super) fn of_part(&self, part: &config::TargetPart) -> Arc<PartCredentials> {
        let known = self.parts.iter().find(|credentials| std::ptr::eq(credentials.part(), part.part));
        known.cloned().unwrap_or_else(|| Arc::new(PartCredentials::new(part.part, &part.credentials)))
    }

    /// Reads secrets in files, for redaction: those that no request has read yet, and those of delivery records.
    pub(super) async fn read_files(&self) {
        for credentials in &self.parts {
            credentials.read_once().await;
        }
        self.of_deliveries.read().await;
    }

    /// Redacts all secrets of requests to these URLs, which have these headers besides their credentials. Reads no file.
    pub(super) fn redactor<'a>(&'a self, headers: impl Iterator<Item = &'a HeaderValue>, urls: impl Iterator<Item = &'a str>) -> Redactor {
        // Parts commonly have the same credential.
        let values: BTreeSet<String> = self.parts.iter().flat_map(|credentials| credentials.values()).collect();
        let mut sent: Vec<HeaderValue> = self.parts.iter().flat_map(|credentials| credentials.sent()).collect();
        sent.sort_unstable();
        sent.dedup();
        let of_values = Redactor::of(values.iter().chain(&self.of_deliveries.values()).map(String::as_str));
        Redactor::new(headers, urls).and(Redactor::new(&sent, [])).and(of_values)
    }
}
