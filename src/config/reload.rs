//! How a running Postmeter may be told to read its file again: `reload:`.

use super::decode::{Decoder, Item};

/// `reload:` how else than by SIGHUP a running Postmeter is told to read its file again. Left out: not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// `endpoint:` whether `POST /-/reload` does it; `--enable-reload` says the same. Left out: false.
    pub endpoint: bool,
    /// `watch:` whether a change of the file does it. Left out: false.
    pub watch: bool,
}

impl Reload {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = item.and_then(|item| decoder.map(item)).unwrap_or_default();
        let mut flag = |key| map.take(key).and_then(|item| decoder.flag(&item)).unwrap_or(false);
        let (endpoint, watch) = (flag("endpoint"), flag("watch"));
        decoder.finish(map);
        Self { endpoint, watch }
    }
}
