#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

#[track_caller]
fn hides(header: &str, text: &str, expected: &str) {
    let value = HeaderValue::from_str(header).unwrap();
    assert_eq!(Redactor::new([&value], []).redacted(text.to_owned()), expected, "{header}");
}

#[track_caller]
fn hides_of_url(url: &str, text: &str, expected: &str) {
    assert_eq!(Redactor::new([], [url]).redacted(text.to_owned()), expected, "{url}");
}

#[test]
fn a_credential_is_redacted_in_any_encoding() {
    hides("Bearer abc-token", "no right for abc-token, abc-token", "no right for ***, ***");
    hides("Bearer abc-token", "you sent Bearer abc-token", "you sent ***");
    hides("whm root:abc-token", "whm root:abc-token and abc-token", "*** and ***");
    // user:pass word, user:sl/"ash
    hides("Basic dXNlcjpwYXNzIHdvcmQ=", "Basic dXNlcjpwYXNzIHdvcmQ= dXNlcjpwYXNzIHdvcmQ pass word", "*** *** ***");
    hides("Basic dXNlcjpzbC8iYXNo", r#"sl/"ash sl/\"ash sl\/\"ash"#, "*** *** ***");
    hides("plain-key", "the key plain-key is old", "the key *** is old");
    hides("Bearer x", "x is too short to be looked for", "x is too short to be looked for");
    hides("Bearer AbC-tOkEn", "ABC-TOKEN abc-token", "*** ***");
    hides(
        "Bearer gehörtß",
        "gehörtß GEHÖRTSS geh%C3%B6rt%c3%9f geh%F6rt%DF geh&ouml;rt&szlig; geh\\u00f6rt\\u00DF",
        "*** *** *** *** *** ***",
    );
    hides("Bearer gehörtß", "gehÃ¶rtÃ\u{9f} geh?rt? geh\u{fffd}rt\u{fffd}", "*** *** ***");
    hides(
        "Bearer a<b>&c'd",
        "a&lt;b&gt;&amp;c&#39;d a&#60;b&#x3E;&#38;c&apos;d a%3Cb%3E%26c%27d a\\u003cb\\u003e\\u0026c\\u0027d",
        "*** *** *** ***",
    );
    hides("Bearer a<b>&c'd", "a&ltb&gt&amp;c&#39d a&#60b&#x3E&#38;c&#0039;d &#97&#60&#98&#62&#38&#99&#39&#100", "*** *** ***");
    // Base64 of "abc-token", at each place in a group of three bytes, and as hexadecimal digits.
    hides("Bearer abc-token", "YWJjLXRva2Vu eHhhYmMtdG9rZW4 6162632d746f6b656e", "*** *** ***");
    // One encoding inside another.
    hides("Bearer abc/tok+en", "abc%252Ftok%252Ben abc\\u0026#x2F;tok&amp;#43;en YWJjL3Rvayt%6Cbg", "*** *** ***");
}

#[test]
fn the_beginning_of_a_secret_before_a_cut_is_redacted() {
    hides("Bearer abc-token", "not JSON: `said abc-tok…`", "not JSON: `said ***…`");
    hides("Bearer abc-token", "said `Bearer abc…` and abc-", "said `***…` and ***");
    hides("Bearer abc-token", "`abc-`", "`***`");
    hides("Bearer abc-token", "`abc…`, …, abc", "`abc…`, …, abc");
    hides("Bearer <abc>/token", "`%3Cabc%3E%2…`", "`***…`");
    hides("Bearer <abc>/token", "`&lt;abc&gt;&#4…`", "`***…`");
    hides("Bearer <abc>/token", "\\u003cabc\\u003", "***");
}

#[test]
fn secrets_of_a_url_are_redacted() {
    hides_of_url(
        "https://h.example.com/metrics?token=s3cr%2Bet&format=x",
        "no token s3cr+et, s3cr%2bet or s3cr%252bet",
        "no token ***, *** or ***",
    );
    hides_of_url("https://user:pa55word@h.example.com/", "pa55word of user", "*** of user");
    hides_of_url("https://h.example.com/hooks/0123456789abcdef/metrics", "no /hooks/0123456789ABCDEF/metrics", "no /hooks/***/metrics");
    hides_of_url("https://h.example.com/api/metrics.json", "no /api/metrics.json", "no /api/metrics.json");
    hides_of_url("https://h.example.com/m?key=two+words", "two words, two+words, two%20words", "***, ***, ***");
    hides_of_url("https://h.example.com/m?format=text&key=text1", "text, not text1", "text, not ***");
    hides_of_url("https://h.example.com/m?hunter22", "hunter22", "***");
}

#[test]
fn debug_output_of_a_redactor_has_no_secrets() {
    assert_eq!(format!("{:?}", Redactor::of(["abcd-secret"])).replace("***", "").replace([',', ' '], ""), "Redactor([])");
}

#[test]
fn a_text_with_too_many_decodings_is_hidden_as_a_whole() {
    let escapes = r"%252541&amp;amp;lt;\\\\u0041&#38";
    let nested = STANDARD.encode(format!("{}~{escapes}", STANDARD.encode(escapes)));
    let small = format!("{nested}~{escapes}");
    let redactor = Redactor::of(["abcd-secret", "a-much-longer-secret-of-the-same-server"]);
    for text in [small.repeat(400), escapes.repeat(2000)] {
        assert_eq!(redactor.redacted(text.clone()), HIDDEN, "{} bytes", text.len());
    }
    for text in [small, "`".repeat(10_000)] {
        assert_eq!(redactor.redacted(text.clone()), text, "all decodings are searched");
    }
}

#[test]
fn a_long_response_is_searched_to_its_end() {
    let rows: String = (0..600)
        .map(|n| format!(r#"{{"id":"{n:08x}","to":"a%40example.com","text":"caf\u00e9 &amp; \"tea\" c\/o","raw":"PGEgYmMgZD4gZTw{n}="}},"#))
        .collect();
    assert!(rows.len() > 60_000);
    let long_token = "eyJhbGciOi".repeat(100);
    let long_text: String = (0..3000).map(|n| format!("word{n}x{} ", n * 7919)).collect();
    hides(&format!("Bearer {long_token}"), &format!("{long_text}{long_token} {long_text}"), &format!("{long_text}*** {long_text}"));
    hides("Bearer abc/tok+en", &format!("{rows}abc%2Ftok%2Ben,{rows}"), &format!("{rows}***,{rows}"));
}

/// An encoding that servers and proxies use.
fn encode(kind: u8, text: &str) -> String {
    let each = |write: fn(char) -> String| text.chars().map(write).collect::<String>();
    match kind {
        0 => text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect(),
        1 => text.bytes().map(|b| format!("%{b:02x}")).collect(),
        2 => each(|c| match c {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '"' => "&quot;".into(),
            '\'' => "&apos;".into(),
            'ü' => "&uuml;".into(),
            c => c.into(),
        }),
        3 => each(|c| if c.is_alphanumeric() && c.is_ascii() { c.into() } else { format!("&#{};", u32::from(c)) }),
        4 => each(|c| format!("&#x{:X};", u32::from(c))),
        5 => {
            let quoted = serde_json::to_string(text).unwrap();
            quoted[1..quoted.len() - 1].to_owned()
        }
        6 => text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        7 => each(|c| match c {
            '/' | '"' | '\\' => format!("\\{c}"),
            c if c.is_ascii() => c.into(),
            c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
        }),
        8 => STANDARD.encode(text),
        9 => URL_SAFE_NO_PAD.encode(text),
        10 => STANDARD.encode(format!("x{text}yz")),
        11 => STANDARD.encode(format!("xx{text}y")),
        12 => text.to_uppercase(),
        13 => text.to_lowercase(),
        14 => text.escape_debug().to_string(),
        _ => text.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The redacted text, decoded as a reader of the log could decode it, must not contain the secret.
    #[test]
    fn no_encoding_shows_a_secret(
        secret in "[a-zA-Z0-9+/=_.~!@#$%^&*()<>?'\"\\\\:;,|{}`ü漢😀-]{8,24}",
        inner in 0_u8..16,
        outer in 0_u8..9,
        before in "[a-z :,\"']{0,10}",
        after in "[a-z :,\"']{0,10}",
    ) {
        let encoded = encode(outer, &encode(inner, &secret));
        let redactor = Redactor::of([secret.as_str()]);
        let text = redactor.redacted(format!("{before} {encoded} {after}"));
        let encoded_is_redacted = !text.contains(encoded.trim_end_matches('='));
        prop_assert!(encoded_is_redacted, "{secret:?} as {encoded:?} in {text:?}");
        prop_assert!(text.contains(HIDDEN), "{secret:?} as {encoded:?} in {text:?}");
        prop_assert!(text.len() <= before.len() + after.len() + 2 + HIDDEN.len() + 24, "{secret:?} as {encoded:?} leaves {text:?}");
        prop_assert_eq!(redactor.redacted(text.clone()), text);
    }

    /// Other text is unchanged, and nothing panics.
    #[test]
    fn other_text_is_unchanged(text in "\\PC{0,200}") {
        let redactor = Redactor::of(["\u{1}\u{2}never\u{3}\u{4}"]);
        prop_assert_eq!(redactor.redacted(text.clone()), text);
    }

    #[test]
    fn any_text_and_any_secret_are_accepted(secret in "\\PC{0,12}", text in "[\\PC%&\\\\]{0,60}") {
        let _ = Redactor::of([secret.as_str()]).redacted(text);
    }
}
