//! The access rules of a listener: its configuration, with the TLS configuration of its files.

use super::listener_kind::ListenerKind;
use super::tls::{EndpointTls, endpoint_tls};
use super::watch;
use crate::config::{Prometheus, ServerTls, User};
use crate::net::FileStamps;
use crate::serve::http::client::address;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The rules that apply until they are replaced.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) config: Prometheus,
    /// The stamps of the files from which these rules were built.
    pub(crate) file_stamps: FileStamps,
    pub(crate) tls: Option<EndpointTls>,
    pub(crate) http2: bool,
}

/// The reason why rules cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A certificate or key is invalid.
    #[error("{place}: {reason}")]
    Tls {
        /// The configuration key: `tls` of the listener, or the file and key of the web configuration.
        place: String,
        /// The error, with the name of the file.
        reason: String,
    },
    /// A running endpoint must not lose protection by a reload.
    #[error(
        "export.prometheus would lose protection: {}; if this is intended, restart Postmeter or set allow_unprotected: true", .0.join("; ")
    )]
    Unprotected(Vec<&'static str>),
    /// The operating system provides no random numbers.
    #[error("the operating system provides no random numbers")]
    Random,
}

impl Rules {
    /// Builds rules and reads the files in the configuration. The TLS configuration of `previous` is kept if its files have not changed.
    pub(super) fn new(listener: ListenerKind, config: Prometheus, previous: Option<&Self>) -> Result<Self, AccessError> {
        let file_stamps = watch::stamps(&config);
        let http2 = config.web_config.as_ref().is_none_or(|web| web.http2);
        let has_same_tls = |rules: &&Self| {
            rules.http2 == http2
                && rules.config.server_tls() == config.server_tls()
                && rules.file_stamps.agrees(&file_stamps, tls_files(&config))
        };
        let tls = match (config.server_tls(), previous.filter(has_same_tls)) {
            (None, _) => None,
            (Some(_), Some(Self { tls: Some(tls), .. })) => Some(tls.clone()),
            (Some(tls), _) => Some(endpoint_tls(tls, http2).map_err(|reason| {
                let web = config.web_config.as_ref().filter(|_| config.tls.is_none());
                let place = web.map(|web| format!("{}: tls_server_config", web.path.display()));
                AccessError::Tls { place: place.unwrap_or_else(|| format!("{}.tls", listener.key())), reason }
            })?),
        };
        Ok(Self { config, file_stamps, tls, http2 })
    }

    /// Returns true if connections have the same TLS configuration under both rules.
    pub(crate) fn has_same_tls(&self, other: &Self) -> bool {
        match (&self.tls, &other.tls) {
            (Some(own), Some(tls)) => Arc::ptr_eq(&own.config, &tls.config),
            (own, tls) => own.is_none() && tls.is_none(),
        }
    }

    /// Returns the users of the web configuration if there is one, otherwise those of the configuration.
    pub(super) fn users(&self) -> &[User] {
        match &self.config.web_config {
            Some(web) => &web.users,
            None => &self.config.auth.basic,
        }
    }

    /// Returns true if the client's address is in a trusted network.
    pub(super) fn trusts(&self, peer: SocketAddr) -> bool {
        self.config.auth.trusted.iter().any(|network| network.contains(&address(peer)))
    }
}

fn tls_files(config: &Prometheus) -> impl Iterator<Item = &Path> {
    config.server_tls().into_iter().flat_map(ServerTls::files)
}
