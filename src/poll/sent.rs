//! What a request carried and nobody else may see: a server may repeat it in its answer, and errors quote answers.
//!
//! Looked for is what was sent, not what the configuration says by now: a file may have another token since. An answer is cut to be
//! quoted before it comes here, so the beginning of a secret in front of a cut is hidden as well.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Shorter words are not looked for: they would be found in any other.
const WORD_BYTES_MIN: usize = 4;
/// What stands in their place.
const HIDDEN: &str = "***";
/// Where a quoted text may end: at the mark of a cut, at the end of the quote.
const ENDS: [char; 2] = ['…', '`'];

/// Words that must not be seen, the longest first.
pub(crate) struct Sent(Vec<String>);

impl Sent {
    /// The values of these headers: whole, without a scheme, the password of a name and password, in the ways in which a quote has them.
    pub(crate) fn of<'a>(headers: impl Iterator<Item = &'a HeaderValue>) -> Self {
        let mut words = Vec::new();
        for value in headers.filter_map(|value| value.to_str().ok()) {
            let bare = value.split_once(' ').map_or(value, |(_, bare)| bare.trim());
            let decoded = STANDARD.decode(bare).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            for whole in [value, bare, bare.trim_end_matches('=')].into_iter().chain(decoded.as_deref()) {
                words.extend([Some(whole), whole.split_once(':').map(|(_, password)| password)].into_iter().flatten().flat_map(ways));
            }
        }
        words.retain(|word| word.len() >= WORD_BYTES_MIN);
        words.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        words.dedup();
        Self(words)
    }

    /// The text without them.
    pub(crate) fn hide_in(&self, said: &mut String) {
        for word in self.0.iter().filter(|word| said.contains(word.as_str())).collect::<Vec<_>>() {
            *said = said.replace(word.as_str(), HIDDEN);
        }
        let mut from = 0;
        while from <= said.len() {
            let end = said[from..].find(ENDS).map_or(said.len(), |at| from + at);
            let hidden = self.0.iter().filter_map(|word| beginning(word, &said[..end])).max();
            if let Some(len) = hidden {
                said.replace_range(end - len..end, HIDDEN);
            }
            let end = end - hidden.unwrap_or(0) + hidden.map_or(0, |_| HIDDEN.len());
            from = end + said[end..].chars().next().map_or(1, char::len_utf8);
        }
    }
}

/// How much of a word the text ends with, where it is enough to matter.
fn beginning(word: &str, text: &str) -> Option<usize> {
    (WORD_BYTES_MIN..word.len()).rev().find(|len| word.is_char_boundary(*len) && text.ends_with(&word[..*len]))
}

/// As it is, as a line of a log has it, and as a string of JSON does, with and without escaped slashes.
fn ways(word: &str) -> [String; 4] {
    let line = word.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let json = word.replace('\\', "\\\\").replace('"', "\\\"");
    let slashes = json.replace('/', "\\/");
    [word.to_owned(), line, json, slashes]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn hides(header: &str, said: &str, expected: &str) {
        let value = HeaderValue::from_str(header).unwrap();
        let mut text = said.to_owned();
        Sent::of([&value].into_iter()).hide_in(&mut text);
        assert_eq!(text, expected, "{header}");
    }

    #[test]
    fn whatever_was_sent_in_whatever_way_it_comes_back() {
        hides("Bearer abc-token", "no right for abc-token, abc-token", "no right for ***, ***");
        hides("Bearer abc-token", "you sent Bearer abc-token", "you sent ***");
        hides("whm root:abc-token", "whm root:abc-token and abc-token", "*** and ***");
        // user:pass word, user:sl/"ash
        hides("Basic dXNlcjpwYXNzIHdvcmQ=", "Basic dXNlcjpwYXNzIHdvcmQ= dXNlcjpwYXNzIHdvcmQ pass word", "*** *** ***");
        hides("Basic dXNlcjpzbC8iYXNo", r#"sl/"ash sl/\"ash sl\/\"ash"#, "*** *** ***");
        hides("plain-key", "the key plain-key is old", "the key *** is old");
        hides("Bearer x", "x is too short to be looked for", "x is too short to be looked for");
    }

    #[test]
    fn what_a_cut_left_of_it() {
        hides("Bearer abc-token", "not JSON: `said abc-tok…`", "not JSON: `said ***…`");
        hides("Bearer abc-token", "said `Bearer abc…` and abc-", "said `***…` and ***");
        hides("Bearer abc-token", "`abc-`", "`***`");
        hides("Bearer abc-token", "`abc…`, …, abc", "`abc…`, …, abc");
    }
}
