//! The clients that may read the pull endpoint, and their rate limit: `export.prometheus.auth:` and `rate_limit:`.

use super::decode::Decoder;
use super::map::{Item, Location, Map};
use super::schema::{AUTH, RATE_LIMIT, TOKEN};
use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::net::IpAddr;

/// The largest number of tokens.
pub(super) const TOKENS_MAX: usize = 100;
/// The largest number of users.
const USERS_MAX: usize = 1000;
/// The largest number of networks.
pub(super) const NETWORKS_MAX: usize = 1000;
/// The largest length of a token's name.
const TOKEN_NAME_CHARS_MAX: usize = 64;
/// The highest cost of a bcrypt hash. Each step doubles the time of a check, and this one takes at least ten seconds.
const BCRYPT_COST_MAX: u32 = 18;
/// The paths that can be exempted from authentication, because they contain no data about mail.
pub(super) const OPEN_PATHS: [&str; 2] = ["/-/healthy", "/-/ready"];

/// The clients that may read. A client needs to satisfy one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// Key `tokens`: bearer tokens.
    pub tokens: Vec<Token>,
    /// Key `basic`: users of Basic authentication.
    pub basic: Vec<User>,
    /// Key `trusted`: addresses and networks that need no credentials. The peer address of the connection is used; `X-Forwarded-For`
    /// and similar headers are ignored. Trusting a proxy therefore trusts all of its clients.
    pub trusted: Vec<IpNet>,
    /// Key `open`: those of `/-/healthy` and `/-/ready` that need no authentication. `/-/ready` reveals the names of targets.
    pub open: Vec<&'static str>,
}

/// A bearer token, of which only the hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Key `name`: the unique name, shown in metrics and on the status page.
    pub name: String,
    /// Key `sha256`: the SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Key `expires`: the expiry; `None` is never.
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
    /// The user name.
    pub name: String,
    /// The bcrypt hash of the password.
    pub hash: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A rate limit per client address, applied before authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Key `per_minute`: the requests that a client may send per minute.
    pub per_minute: u32,
    /// Key `burst`: the requests that a client may send at once.
    pub burst: u32,
}

impl Auth {
    /// Returns `true` if no client is admitted by these settings, which means that they do not restrict access.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.tokens.is_empty() && self.basic.is_empty() && self.trusted.is_empty()
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let mut map = decoder.map_or_empty(Some(item), AUTH);
        let (tokens_max, networks_max, paths_max) = (map.items_max("tokens"), map.items_max("trusted"), map.items_max("open"));
        let (tokens, basic, trusted, open) = (map.take("tokens"), map.take("basic"), map.take("trusted"), map.take("open"));
        decoder.finish(map);
        Self {
            tokens: tokens.map(|item| decode_tokens(decoder, &item, tokens_max)).unwrap_or_default(),
            basic: basic.map(|item| decode_users(decoder, &item)).unwrap_or_default(),
            trusted: trusted.map(|item| decode_networks(decoder, &item, networks_max)).unwrap_or_default(),
            open: open.map(|item| decode_paths(decoder, &item, paths_max)).unwrap_or_default(),
        }
    }
}

fn decode_tokens(decoder: &mut Decoder<'_>, item: &Item<'_>, max: usize) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for item in decoder.bounded_list(item, max) {
        let Some(mut map) = decoder.map(&item, TOKEN) else { continue };
        let name = token_key(decoder, &mut map, "name", |text| check_token_name(text).map(|()| text.to_owned()));
        let sha256 = token_key(decoder, &mut map, "sha256", parse_sha256);
        let expires = map.take("expires").and_then(|item| {
            let text = decoder.non_empty_text(&item)?;
            decoder.ok_or_report(&item.location, parse_timestamp(&text))
        });
        decoder.finish(map);
        let (Some((name, name_location)), Some((sha256, hash_location))) = (name, sha256) else { continue };
        if tokens.iter().any(|token| token.name == name) {
            decoder.report(&name_location, format!("{name} is also the name of another token"));
        }
        if let Some(other) = tokens.iter().find(|token| token.sha256 == sha256) {
            decoder.report(&hash_location, format!("is also the hash of the token {}", other.name));
        }
        tokens.push(Token { name, sha256, expires });
    }
    tokens
}

/// Takes a required key of a token.
fn token_key<T>(
    decoder: &mut Decoder<'_>,
    map: &mut Map<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<(T, Location)> {
    let Some(item) = map.take(key) else {
        decoder.report(&map.location, format!("{key} is missing; `postmeter token new` creates a token and prints this section"));
        return None;
    };
    let text = decoder.non_empty_text(&item)?;
    Some((decoder.ok_or_report(&item.location, parse(&text))?, item.location))
}

/// Checks that a token may have this name, which becomes the value of a label.
///
/// # Errors
/// Describes the valid names.
pub fn check_token_name(name: &str) -> Result<(), String> {
    let is_valid = name.len() <= TOKEN_NAME_CHARS_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_@".contains(&b));
    if is_valid && !name.is_empty() {
        Ok(())
    } else {
        Err(format!("is not a valid name; use up to {TOKEN_NAME_CHARS_MAX} letters, digits, '.', '-', '_' and '@'"))
    }
}

/// Parses a hash. The error does not quote the text, which may be the token itself.
fn parse_sha256(text: &str) -> Result<[u8; 32], String> {
    let error = || "is not a SHA-256: 64 hexadecimal digits, as `postmeter token new` prints them".to_owned();
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !text.is_ascii() {
        return Err(error());
    }
    let mut sha256 = [0; 32];
    for (byte, pair) in sha256.iter_mut().zip(bytes.chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| error())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
    }
    Ok(sha256)
}

/// Parses a date, which is midnight UTC, or an RFC 3339 time.
///
/// # Errors
/// Describes the valid formats.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let date = text.parse::<Date>().ok().filter(|_| text.len() == 10).and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    date.map(|zoned| zoned.timestamp())
        .ok_or_else(|| format!("{text:?} is not a valid time; write it as 2027-01-31 or 2027-01-31T12:00:00Z"))
}

/// Decodes a map of user names and bcrypt hashes.
pub(super) fn decode_users(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<User> {
    let entries = decoder.user_map(item);
    if entries.len() > USERS_MAX {
        decoder.report(&item.location, format!("{} users exceed the limit of {USERS_MAX}", entries.len()));
        return Vec::new();
    }
    let mut users = Vec::with_capacity(entries.len());
    for (name, item) in entries {
        if name.is_empty() || name.contains(':') {
            decoder.report(&item.location, "is not a valid user name: it must not be empty or contain a colon");
        }
        let Some(hash) = decoder.non_empty_text(&item) else { continue };
        decoder.ok_or_report(&item.location, check_bcrypt(&hash));
        users.push(User { name: name.to_owned(), hash });
    }
    users
}

/// Checks a bcrypt hash. The error does not quote the text, which may be the password itself.
fn check_bcrypt(hash: &str) -> Result<(), String> {
    let parts: bcrypt::HashParts =
        hash.parse().map_err(|_| "is not a bcrypt hash; htpasswd -nBC 10 USER prints one, beginning with $2y$".to_owned())?;
    let cost = parts.get_cost();
    match cost {
        0..4 => Err(format!("is a bcrypt hash with the invalid cost {cost}; the lowest is 4")),
        4..=BCRYPT_COST_MAX => Ok(()),
        _ => {
            Err(format!("is a bcrypt hash with cost {cost}, whose check takes too long; the highest is {BCRYPT_COST_MAX}, and 10 is usual"))
        }
    }
}

fn decode_networks(decoder: &mut Decoder<'_>, item: &Item<'_>, max: usize) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for item in decoder.bounded_list(item, max) {
        let Some(text) = decoder.non_empty_text(&item) else { continue };
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let network =
            network.ok_or_else(|| format!("{text:?} is not an address or network; write it as 192.0.2.7, 10.0.0.0/8 or fd00::/8"));
        let Some(network) = decoder.ok_or_report(&item.location, network).map(unmapped) else { continue };
        if network.prefix_len() == 0 {
            decoder.warn(&item.location, format!("{network} contains every address: no client needs credentials"));
        }
        networks.push(network.trunc());
    }
    networks
}

/// Returns an IPv4 network that is written as a part of `::ffff:0:0/96` (RFC 4291, section 2.5.5.2) in its usual form. Addresses of clients
/// have that form.
fn unmapped(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    mapped.and_then(|(address, prefix_len)| Ipv4Net::new(address, prefix_len).ok()).map_or(network, IpNet::V4)
}

fn decode_paths(decoder: &mut Decoder<'_>, item: &Item<'_>, max: usize) -> Vec<&'static str> {
    let choices = OPEN_PATHS.map(|path| (path, path));
    decoder.bounded_list(item, max).iter().filter_map(|item| decoder.choice(item, &choices)).collect()
}

impl RateLimit {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item, RATE_LIMIT)?;
        if !map.has_own("per_minute") {
            decoder.report(&item.location, "per_minute is missing: the requests that a client may send per minute");
        }
        let per_minute = map.integer(decoder, "per_minute");
        let has_burst = map.has_own("burst");
        let burst = map.integer(decoder, "burst");
        decoder.finish(map);
        let burst = if has_burst { burst } else { per_minute };
        Some(Self { per_minute: u32::try_from(per_minute?).ok()?, burst: u32::try_from(burst?).ok()? })
    }
}
