//! The secrets of the delivery records that a server sends, for redaction: the server knows them, and may repeat them in a response to a
//! poll.

use crate::config::{Deliveries, Secret};
use crate::net::FileThread;
use parking_lot::Mutex;

/// The secrets of the delivery records of a target.
#[derive(Debug)]
pub(super) struct DeliverySecrets {
    /// Those whose values do not change.
    fixed: Vec<Secret>,
    in_files: Vec<Secret>,
    files: FileThread,
    /// The values that were read last from files.
    last_read: Mutex<Vec<Secret>>,
}

impl DeliverySecrets {
    pub(super) fn new(deliveries: Option<&Deliveries>) -> Self {
        let secrets = deliveries.into_iter().flat_map(|deliveries| {
            let password = deliveries.basic.as_ref().map(|(_, password)| password);
            [deliveries.token.as_ref(), password, deliveries.signing_key.as_ref()].into_iter().flatten().cloned()
        });
        let (in_files, fixed) = secrets.partition(Secret::may_change);
        Self { fixed, in_files, files: FileThread::default(), last_read: Mutex::default() }
    }

    /// Reads secrets in files. One that cannot be read keeps its last value: the receiver reports the error.
    pub(super) async fn read(&self) {
        for secret in &self.in_files {
            let Ok(value) = secret.read_on(&self.files).await else { continue };
            let mut last_read = self.last_read.lock();
            if !last_read.iter().any(|known| known.read().is_ok_and(|known| known == value)) {
                last_read.insert(0, Secret::plain(value));
                // A server may repeat the secret before the last rotation.
                last_read.truncate(2 * self.in_files.len());
            }
        }
    }

    /// The values, from files as they were read last. Reads no file.
    pub(super) fn values(&self) -> Vec<String> {
        let secrets: Vec<Secret> = self.fixed.iter().chain(self.last_read.lock().iter()).cloned().collect();
        secrets.iter().filter_map(|secret| secret.read().ok()).collect()
    }
}
