//! The triggers that reload the configuration file: `reload:`.

use super::decode::Decoder;
use super::map::Item;
use super::schema::RELOAD;

/// The triggers that reload the configuration file, besides SIGHUP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Key `endpoint`: `POST /-/reload`. The option `--enable-reload` enables it as well.
    pub endpoint: bool,
    /// Key `watch`: a change of the file.
    pub watch: bool,
}

impl Reload {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = decoder.map_or_empty(item, RELOAD);
        let (endpoint, watch) = (map.flag_or_default(decoder, "endpoint"), map.flag_or_default(decoder, "watch"));
        decoder.finish(map);
        Self { endpoint, watch }
    }
}
