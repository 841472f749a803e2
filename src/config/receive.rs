//! The receiver of delivery records: `receive:`.

use super::ServerTls;
use super::decode::Decoder;
use super::listeners::Listener;
use super::map::Item;
use super::schema::RECEIVE;
use std::path::Path;

/// The default of `max_bytes`.
pub const MAX_BYTES_DEFAULT: usize = 1024 * 1024 * 1024;

/// A listener for requests with which mail systems report deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// Key `listen`: host and port.
    pub listen: String,
    /// Key `tls`: the certificate of the listener; `None` is plain HTTP.
    pub tls: Option<ServerTls>,
    /// Key `max_bytes`: the disk space for records that the OTLP receiver has not accepted yet.
    pub max_bytes: usize,
}

impl Receive {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item, RECEIVE)?;
        let listen = map.take_required(decoder, "listen");
        let tls = map.take("tls");
        let max_bytes = map.bytes_or_default(decoder, "max_bytes");
        decoder.finish(map);
        if !decoder.has_state_dir {
            decoder.report(&item.location, "needs state_dir at the top of the file: a directory for records that are not exported yet");
        }
        let tls = tls.as_ref().and_then(|item| {
            let problems = decoder.problems.len();
            let tls = ServerTls::decode(decoder, item, Path::new(""));
            if tls.is_none() && decoder.problems.len() == problems {
                decoder.report(&item.location, "needs cert_file and key_file");
            }
            tls
        });
        let listen = listen?;
        let address = decoder.non_empty_text(&listen)?;
        decoder.ok_or_report(&listen.location, super::prometheus::check_listen(&address))?;
        if tls.is_none() && !super::prometheus::is_loopback(&address) {
            let message =
                "credentials and records are sent over the network without encryption; set receive.tls, or put a proxy with TLS in front";
            decoder.warn(&listen.location, message);
        }
        decoder.listeners.push(Listener { key: "receive.listen", location: listen.location, address: address.clone() });
        Some(Self { listen: address, tls, max_bytes })
    }
}
