//! Who may read the pull endpoint, and how often: `export.prometheus.auth` and `.rate_limit`.

use super::decode::{Decoder, Item};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::net::IpAddr;

/// Tokens of a configuration file.
pub(super) const TOKENS_MAX: usize = 100;
/// Users of a configuration file.
const USERS_MAX: usize = 1000;
/// Networks of a configuration file.
pub(super) const NETWORKS_MAX: usize = 1000;
/// The highest cost of a bcrypt hash; each step doubles the time, and this one takes ten seconds or more.
const BCRYPT_COST_MAX: u32 = 18;
/// Requests per minute of a client, and at once.
pub(super) const RATE_MAX: usize = 60_000;
/// Paths that can be open to everybody: they say nothing about mail.
pub(super) const OPEN: [&str; 2] = ["/-/healthy", "/-/ready"];

/// `auth:` who may read; one of these is enough. Left out: everybody who reaches the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// `tokens:` sent as `Authorization: Bearer`; `postmeter token new` makes one. Left out: none.
    pub tokens: Vec<Token>,
    /// `basic:` user names and bcrypt hashes of their passwords, as `htpasswd -nBC 10` makes them. Left out: none.
    pub basic: Vec<User>,
    /// `trusted:` addresses and networks that need neither. What counts is the other end of the connection: `X-Forwarded-For` and
    /// the like are never believed, and a proxy at a trusted address is trusted with all that it passes on. Left out: none.
    pub trusted: Vec<IpNet>,
    /// `open:` of `/-/healthy` and `/-/ready`, those that need no authentication; `/-/ready` names targets. Left out: none.
    pub open: Vec<&'static str>,
}

/// A Bearer token, of which only the hash is known.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// `name:` what it is called in metrics and on the page. Required, unique.
    pub name: String,
    /// `sha256:` the token's SHA-256. Required; in the file as 64 hexadecimal digits.
    pub sha256: [u8; 32],
    /// `expires:` when it stops working: a date (its first moment in UTC) or an RFC 3339 time. Left out: never.
    pub expires: Option<Timestamp>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("name", &self.name).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A user of Basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The bcrypt hash of the password.
    pub hash: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `rate_limit:` of each client by its address, counted before authentication. Left out: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `per_minute:` requests that a client may make in a minute. Required.
    pub per_minute: u32,
    /// `burst:` how many of them at once. Left out: all.
    pub burst: u32,
}

impl Auth {
    /// Whether nobody needs to say who they are.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.tokens.is_empty() && self.basic.is_empty() && self.trusted.is_empty()
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let Some(mut map) = decoder.map(item) else { return Self::default() };
        let mut take = |key| map.take(key);
        let (tokens, basic, trusted, open) = (take("tokens"), take("basic"), take("trusted"), take("open"));
        decoder.finish(map);
        Self {
            tokens: tokens.map(|item| decode_tokens(decoder, &item)).unwrap_or_default(),
            basic: basic.map(|item| users(decoder, &item)).unwrap_or_default(),
            trusted: trusted.map(|item| networks(decoder, &item)).unwrap_or_default(),
            open: open.map(|item| paths(decoder, &item)).unwrap_or_default(),
        }
    }
}

/// The items of a list that is not too long.
fn items<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>, max: usize) -> Vec<Item<'n>> {
    let items = decoder.list(item).unwrap_or_default();
    if items.len() > max {
        decoder.problem(&item.place, format!("{} are more than {max}", items.len()));
        return Vec::new();
    }
    items
}

fn decode_tokens(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for item in items(decoder, item, TOKENS_MAX) {
        let Some(mut map) = decoder.map(&item) else { continue };
        let (name, sha256, expires) = (map.take("name"), map.take("sha256"), map.take("expires"));
        decoder.finish(map);
        let required = |decoder: &mut Decoder<'_>, found: Option<Item<'_>>, key: &str, check: fn(&str) -> Result<(), String>| {
            let Some(found) = found else {
                decoder.problem(&item.place, format!("{key} is missing; postmeter token new makes a token and says what to write here"));
                return None;
            };
            let text = decoder.word(&found)?;
            decoder.noted(&found.place, check(&text)).map(|()| (text, found.place))
        };
        let name = required(decoder, name, "name", check_token_name);
        let sha256 = required(decoder, sha256, "sha256", |text| digest(text).map(drop));
        let expires = expires.and_then(|item| {
            let text = decoder.word(&item)?;
            decoder.noted(&item.place, moment(&text))
        });
        let (Some((name, place)), Some((text, at))) = (name, sha256) else { continue };
        let Ok(sha256) = digest(&text) else { continue };
        if tokens.iter().any(|token| token.name == name) {
            decoder.problem(&place, format!("{name} is also the name of another token"));
        }
        if let Some(other) = tokens.iter().find(|token| token.sha256 == sha256) {
            decoder.problem(&at, format!("this is also the token {}", other.name));
        }
        tokens.push(Token { name, sha256, expires });
    }
    tokens
}

/// Whether a token can be called so: it becomes the value of a label.
///
/// # Errors
/// What is wrong with it.
pub fn check_token_name(name: &str) -> Result<(), String> {
    let plain = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_@".contains(&b));
    if plain && !name.is_empty() { Ok(()) } else { Err("is no name: up to 64 letters, digits, '.', '-', '_' and '@'".to_owned()) }
}

/// Does not quote the text: somebody may have put the token itself here.
fn digest(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "is no SHA-256: 64 hexadecimal digits, as postmeter token new prints them".to_owned();
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

/// A date or a time.
///
/// # Errors
/// That it is neither.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let date = text.parse::<Date>().ok().filter(|_| text.len() == 10).and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    date.map(|zoned| zoned.timestamp()).ok_or_else(|| format!("{text:?} is no time; write it as 2027-01-31 or 2027-01-31T12:00:00Z"))
}

/// A map of user names and bcrypt hashes.
pub(super) fn users(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<User> {
    let entries = decoder.map(item).map(super::decode::Map::rest).unwrap_or_default();
    if entries.len() > USERS_MAX {
        decoder.problem(&item.place, format!("{} users are more than {USERS_MAX}", entries.len()));
        return Vec::new();
    }
    let mut users = Vec::with_capacity(entries.len());
    for (name, item) in entries {
        if name.is_empty() || name.contains(':') {
            decoder.problem(&item.place, "is no user name: one that is empty or has a colon cannot be sent");
        }
        let Some(hash) = decoder.word(&item) else { continue };
        decoder.noted(&item.place, check_bcrypt(&hash));
        users.push(User { name: name.to_owned(), hash });
    }
    users
}

/// Does not quote the hash: somebody may have put the password here.
fn check_bcrypt(hash: &str) -> Result<(), String> {
    let parts: bcrypt::HashParts =
        hash.parse().map_err(|_| "is no bcrypt hash; htpasswd -nBC 10 USER prints one, beginning with $2y$".to_owned())?;
    let cost = parts.get_cost();
    match cost {
        0..4 => Err(format!("is a bcrypt hash of cost {cost}; there is none below 4")),
        4..=BCRYPT_COST_MAX => Ok(()),
        _ => Err(format!("is a bcrypt hash of cost {cost}; more than {BCRYPT_COST_MAX} takes too long to check, and 10 is usual")),
    }
}

fn networks(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for item in items(decoder, item, NETWORKS_MAX) {
        let Some(text) = decoder.word(&item) else { continue };
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let network =
            network.ok_or_else(|| format!("{text:?} is no address and no network; write it as 192.0.2.7, 10.0.0.0/8 or fd00::/8"));
        let Some(network) = decoder.noted(&item.place, network) else { continue };
        if network.prefix_len() == 0 {
            decoder.warn(&item.place, format!("{network} is every address: nobody needs to say who they are"));
        }
        networks.push(network.trunc());
    }
    networks
}

fn paths(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<&'static str> {
    let choices = OPEN.map(|path| (path, path));
    let items = items(decoder, item, OPEN.len());
    items.iter().filter_map(|item| decoder.choice(item, &choices)).collect()
}

impl RateLimit {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item)?;
        let (per_minute, burst) = (map.take("per_minute"), map.take("burst"));
        decoder.finish(map);
        let number = |decoder: &mut Decoder<'_>, item: &Item<'_>| {
            decoder.integer(item, &(1..=RATE_MAX)).and_then(|number| u32::try_from(number).ok())
        };
        let Some(per_minute) = per_minute else {
            decoder.problem(&item.place, "per_minute is missing: how many requests a client may make in a minute");
            return None;
        };
        let per_minute = number(decoder, &per_minute);
        let burst = burst.map(|item| number(decoder, &item));
        Some(Self { per_minute: per_minute?, burst: burst.unwrap_or(per_minute)? })
    }
}
