//! Redaction: secrets of a request are replaced in the text of its response.
//!
//! A server may repeat a credential in an error, and errors are logged and shown on the status page. The secrets are those that were sent,
//! not those of the present configuration: a file may contain another token since.
//!
//! # Encoded secrets
//!
//! A server may return a secret unchanged, percent-encoded, as HTML, as a JSON string, in Base64, in another case, or in any combination of
//! these. So the text is decoded step by step and searched after each step, and matches are replaced in the original text. Base64 and
//! hexadecimal forms are also searched for directly, because they may begin anywhere in a longer run of characters, and their case may
//! change.
//!
//! # Truncated text
//!
//! Responses are truncated before they are quoted, so the beginning of a secret before a cut is redacted as well.

mod search;

use super::encodings::{DecodingBudget, Unit, decodings};
use super::{hex, is_unprintable};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, Engine};
use http::HeaderValue;
use search::Search;

/// Shorter secrets are not searched for, because they would match unrelated text.
const SECRET_CHARS_MIN: usize = 4;
/// Values of a URL's query that are not secrets, and are useful in messages.
const PLAIN_VALUES: [&str; 8] = ["true", "false", "text", "json", "html", "metrics", "prometheus", "openmetrics"];
/// The replacement of a secret.
pub(super) const HIDDEN: &str = "***";
/// Characters that follow a truncated text: the ellipsis, or the end of the quote.
const CUT_MARKS: [char; 2] = ['…', '`'];
/// The largest number of nested Base64 encodings that are decoded.
const BASE64_DEPTH_MAX: usize = 2;
/// Shorter runs of characters are not decoded as Base64.
const BASE64_CHARS_MIN: usize = 6;
/// A decoder for Base64 that may be truncated anywhere.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);
/// A path segment of a URL with a digit, a letter and at least this many characters may be a secret.
const PATH_SECRET_CHARS_MIN: usize = 12;

/// Replaces secrets in text.
#[derive(Clone, Debug, Default)]
pub struct Redactor(Vec<Needle>);

/// One form of a secret to search for, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Needle(Vec<char>);

impl std::fmt::Debug for Needle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Redactor {
    /// Redacts the secrets of requests with these headers to these URLs. Of a header: its value, the value without the scheme, and the
    /// password of a pair of name and password, or the value of a cookie. Of a URL: the password, the query, and path segments that look
    /// random.
    #[must_use]
    pub fn new<'a, 'u>(headers: impl IntoIterator<Item = &'a HeaderValue>, urls: impl IntoIterator<Item = &'u str>) -> Self {
        let mut secrets = Vec::new();
        for value in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let bare = value.split_once(' ').map_or(&*value, |(_, bare)| bare.trim());
            let decoded = STANDARD.decode(bare).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            for whole in [&*value, bare, bare.trim_end_matches('=')].into_iter().chain(decoded.as_deref()) {
                secrets.extend(whole.split_once(':').map(|(_, password)| password.to_owned()));
                secrets.push(whole.to_owned());
            }
            // Of a cookie, the server may repeat the value without its name, and as it was before it was encoded.
            for decoded in value.split_once('=').iter().flat_map(|(_, cookie)| decodings_of_secret(cookie)) {
                secrets.push(decoded.iter().map(|unit| unit.ch).collect());
            }
        }
        urls.into_iter().for_each(|url| of_url(url, &mut secrets));
        Self::of(secrets.iter().map(String::as_str))
    }

    /// Redacts these secrets.
    #[must_use]
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut needles: Vec<Needle> = secrets.into_iter().flat_map(forms).map(|form| Needle(form.chars().map(fold).collect())).collect();
        needles.retain(|needle| needle.0.len() >= SECRET_CHARS_MIN);
        Self::sorted(needles)
    }

    /// Redacts the secrets of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        Self::sorted(self.0)
    }

    /// Longer secrets are replaced first.
    fn sorted(mut needles: Vec<Needle>) -> Self {
        needles.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self(needles)
    }

    /// Replaces the secrets in a text. A text that has too many decodings to search them all is replaced as a whole.
    pub fn redact(&self, text: &mut String) {
        if self.0.is_empty() {
            return;
        }
        let Some(mut spans) = Search::run(&self.0, text) else { return HIDDEN.clone_into(text) };
        spans.sort_unstable();
        // Ranges that overlap are merged. They are replaced from the end, so that earlier positions remain valid.
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (start, end) in spans {
            match merged.last_mut() {
                Some(last) if start < last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        for (start, end) in merged.into_iter().rev() {
            text.replace_range(start..end, HIDDEN);
        }
    }

    /// Returns the text without the secrets.
    #[must_use]
    pub fn redacted(&self, mut text: String) -> String {
        self.redact(&mut text);
        text
    }
}

/// Returns true if the text begins with the needle. Replacement characters match the characters that programs commonly replace by them.
fn starts_with(text: &[char], needle: &[char]) -> bool {
    let is_same = |(needle, text): (&char, &char)| {
        needle == text
            || match text {
                '?' | '\u{fffd}' => !needle.is_ascii(),
                ' ' => is_unprintable(*needle),
                '+' => *needle == ' ',
                _ => false,
            }
    };
    text.len() >= needle.len() && needle.iter().zip(text).all(is_same)
}

/// Returns true if programs commonly write this character instead of another one.
fn may_replace_another(c: char) -> bool {
    matches!(c, '?' | '\u{fffd}' | ' ' | '+')
}

/// Converts to lower case, one character to one.
fn fold(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Returns true if a path segment of a URL may be a secret.
pub(super) fn is_random(segment: &str) -> bool {
    segment.chars().count() >= PATH_SECRET_CHARS_MIN
        && segment.chars().any(|c| c.is_ascii_digit())
        && segment.chars().any(|c| c.is_ascii_alphabetic())
}

/// Returns true if a value of a URL's query is never a secret.
pub(super) fn is_public_value(value: &str) -> bool {
    PLAIN_VALUES.contains(&value)
}

/// The secrets of a URL: the password, each value of the query, and path segments that look random.
fn of_url(url: &str, secrets: &mut Vec<String>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('#').next().unwrap_or_default();
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let userinfo = authority.rsplit_once('@').map(|(userinfo, _)| userinfo);
    let password = userinfo.map(|userinfo| userinfo.split_once(':').map_or(userinfo, |(_, password)| password));
    secrets.extend(password.into_iter().chain(path.split('/').filter(|segment| is_random(segment))).map(str::to_owned));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let value = pair.split_once('=').map_or(pair, |(_, value)| value);
        if is_public_value(value) {
            continue;
        }
        // HTML forms encode a space as a plus sign.
        secrets.extend([value.to_owned(), value.replace('+', " ")]);
    }
}

/// All decodings of a secret, which is the operator's.
fn decodings_of_secret(secret: &str) -> Vec<Vec<Unit>> {
    decodings(secret, &mut DecodingBudget::unlimited()).unwrap_or_default()
}

/// The forms of a secret to search for.
fn forms(secret: &str) -> Vec<String> {
    // A secret that looks encoded is decoded in the response, as all text is.
    let mut forms: Vec<String> = decodings_of_secret(secret).iter().map(|units| units.iter().map(|unit| unit.ch).collect()).collect();
    for plain in forms.clone() {
        forms.extend([plain.to_uppercase(), plain.to_lowercase()]);
        if !plain.is_ascii() {
            // UTF-8 that was interpreted as Latin-1.
            forms.push(plain.bytes().map(char::from).collect());
        }
        forms.extend(base64_forms(plain.as_bytes()));
        forms.push(hex(plain.as_bytes()));
        if let Some(latin1) =
            plain.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>().filter(|_| !plain.is_ascii())
        {
            forms.extend(base64_forms(&latin1));
        }
    }
    forms
}

/// The Base64 forms of a secret within a longer text, reduced to the characters that do not depend on the text around it.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for before in 0..3_usize {
        let padded = [&[0; 3][..before], secret].concat();
        let (first, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.extend(encoded.get(first..end).map(str::to_owned));
        }
    }
    forms
}

#[cfg(test)]
mod tests;
