//! The health endpoint: `health:`.

use super::decode::Decoder;
use super::listeners::Listener;
use super::map::Item;
use super::schema::HEALTH;

/// A listener with `/-/healthy` and `/-/ready` only, without TLS and authentication: for probes of an instance without a pull endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Key `listen`: host and port.
    pub listen: String,
}

impl Health {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item, HEALTH)?;
        let listen = map.take_required(decoder, "listen");
        decoder.finish(map);
        let listen = listen?;
        let address = decoder.non_empty_text(&listen)?;
        decoder.ok_or_report(&listen.location, super::prometheus::check_listen(&address))?;
        decoder.listeners.push(Listener { key: "health.listen", location: listen.location, address: address.clone() });
        Some(Self { listen: address })
    }
}
