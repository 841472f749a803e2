//! Signatures that were made with openssl, and what must not be accepted.
#![allow(clippy::unwrap_used)]

use super::*;
use http::HeaderValue;
use std::time::UNIX_EPOCH;

/// 2026-11-28T14:43:20Z, which all vectors have signed if they sign a time.
const SIGNED_AT: u64 = 1_795_877_000;

const EMAILENGINE_BODY: &str = r#"{"account":"acme","date":"2026-11-28T14:43:20.000Z","event":"messageSent"}"#;
const STALWART_BODY: &str = r#"{"events":[{"id":"1","createdAt":"2026-11-28T14:43:20Z","type":"delivery.dsn-success","data":{}}]}"#;
const POSTAL_BODY: &str = r#"{"event":"MessageSent","timestamp":1795877000.5,"payload":{},"uuid":"u"}"#;
/// With its CRLF, which is signed.
const SENDGRID_BODY: &str = "[{\"event\":\"delivered\"}]\r\n";
const MAILGUN_BODY: &str = r#"{"signature":{"timestamp":"1795877000","token":"50charactertoken","signature":"6ee8f74dbc0db11671ca897c4489722ddaf4f006c073d38abe3796bd61374ecd"},"event-data":{"event":"delivered"}}"#;
const MAILGUN_SIGNATURE: &str = "6ee8f74dbc0db11671ca897c4489722ddaf4f006c073d38abe3796bd61374ecd";

const EMAILENGINE_SIGNATURE: &str = "NxG8uopcTbgGLMW0G1E7PvExOvcad348uTFUt8qjwfY";
const STALWART_SIGNATURE: &str = "6Ln5hyjYwXe1NOE7wtKs6kPLti8jr+YTrBZR6PuASMw=";
const POSTAL_SIGNATURE: &str = "LR4M9p83Wcu4nH4QyA85q/gxzXhA9l9KEAht8Q2iJ5rtw7N33tzLaZIvCgcsZW+2hrHahSxUglcKhdDQAtklkZvv0kbumbBiDsicAYGR1xTkFACQo5+nq6zWKABPPFnQjyAuPGNbsRggukptrR6vjHrZ2WxerHq2sjHWe+uQ2iPFGt4t9Qu00rwEg0KutaX2p+j8m3HL/r6KwvYXyzk1u9P0n9Il7pJl10Cgs2r3B/OmPblLpmbUt6ZZ8EK9nhcEV083bhFH6H9nGdM9c9+rLTQd7EJ0f2SwKVFURG2u0Vwp1FEmmdKr03dDsJm/K6dq3M+9BXKxZ5e9iBG3giou6w==";
const POSTAL_SIGNATURE_SHA1: &str = "nQcdSN638klnXic7GA1ZzFAsv77ROkjcaJgZjqUMFBs3V2hp+ifuD4VvODY+W8fYGV43pOkfZGu6rGTZxZCYYAZczWiyO+c+jiPwWD4Tcd3H8rEOsUlYvNvQUCpfZtd0AClwkJQD577wiNmIX+U3Rn/mzoWbdY2uTK1zHBeVFFNkD9RsCVl2cyRgr9PyUfG/6LPY8xJAsHo+NmPhIePS3bXhJShvqzi57MrRic8pBxScgDvI2gEr/vvux2f9p/VQrSRrn70mdM1q0o6vQsjynx1f62WiAweimAV9SFMAPkkfXvMzxegy/KnmsxRVYmzxzArvS1Ns1+4BY/JrUmPUDg==";
const POSTAL_SIGNATURE_1024: &str = "Fz42/uvmrB1tLV02mBUCD8Uza5MoLdDZnZBgD/euj++4yL5FHoF+/rUEO7ivJzgLIx2p3t7Ug7InbDSRdpPjqoM3a6VmIjXcWZDyhdloUc5jqqCymEXLRIOA2+D8HleMwSo9xWJwg0GJw2VZFbdoelwWjqniydt1TfH+ryos22A=";
const SENDGRID_SIGNATURE: &str = "MEUCIQD2s7Cso9wAiUiHJwRr6MlzFyOxafflgD3CbZtZpS4zAgIgPOmp24YnOeGSlZW0sXyVlgJB+Q0oQUC6l10eoOfS61Q=";

const POSTAL_KEY: &str = include_str!("tests/rsa-2048.pem");
const POSTAL_KEY_PKCS1: &str = include_str!("tests/rsa-2048-pkcs1.pem");
const POSTAL_KEY_1024: &str = include_str!("tests/rsa-1024.pem");
const POSTAL_KEY_JWK: &str = include_str!("tests/rsa-2048.json");
const SENDGRID_KEY: &str =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGHoS7GQ7sjazDzcN5ts+I/Ym6rHlrhFUQsfg/43ptQxkhrfDFjRnKCJdYWo58V6ZF/EHdtDLAIeiqCHaaRjlhg==";
const P384_KEY: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE0F5P+l77LkIvrGhdqLXhrXrDRjK+Z+UuRm3gXovYToNf7LGK9xJwcFkuTgnt9znPLG1pNGl4qTUe5GcNfTByfu2eEoSI4CrUDmI+y3QbpcVRbPXlMt/XG+wnOAkll1V3";

/// A request that is authentic.
struct Request {
    scheme: &'static str,
    key: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

fn requests() -> Vec<Request> {
    let of = |scheme, key, headers: &[_], body| Request { scheme, key, headers: headers.to_vec(), body };
    let sendgrid =
        [("x-twilio-email-event-webhook-signature", SENDGRID_SIGNATURE), ("x-twilio-email-event-webhook-timestamp", "1795877000")];
    vec![
        of("emailengine", "service secret", &[("x-ee-wh-signature", EMAILENGINE_SIGNATURE)], EMAILENGINE_BODY),
        of("stalwart", "signature-key", &[("x-signature", STALWART_SIGNATURE)], STALWART_BODY),
        of("postal", POSTAL_KEY, &[("x-postal-signature-256", POSTAL_SIGNATURE)], POSTAL_BODY),
        of("postal", POSTAL_KEY_PKCS1, &[("x-postal-signature-256", POSTAL_SIGNATURE)], POSTAL_BODY),
        of("postal", POSTAL_KEY_1024, &[("x-postal-signature-256", POSTAL_SIGNATURE_1024)], POSTAL_BODY),
        of("sendgrid", SENDGRID_KEY, &sendgrid, SENDGRID_BODY),
        of("mailgun", "mailgun key", &[], MAILGUN_BODY),
    ]
}

fn scheme(name: &str) -> &'static SignatureScheme {
    SCHEMES.iter().find(|scheme| scheme.name == name).unwrap()
}

fn header_map(headers: &[(&'static str, &str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn verify_at(request: &Request, key: &str, headers: &HeaderMap, body: &[u8], seconds: u64) -> Result<(), SignatureError> {
    let scheme = scheme(request.scheme);
    let key = VerificationKey::parse(scheme, key).unwrap();
    scheme.verify(&key, headers, body, UNIX_EPOCH + Duration::from_secs(seconds))
}

fn verify(request: &Request, key: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
    verify_at(request, key, headers, body, SIGNED_AT)
}

#[test]
fn signatures_of_openssl_are_accepted() {
    for request in requests() {
        let headers = header_map(&request.headers);
        assert_eq!(verify(&request, request.key, &headers, request.body.as_bytes()), Ok(()), "{}", request.scheme);
        // A key from a file ends with a line feed.
        assert_eq!(verify(&request, &format!("{}\n", request.key), &headers, request.body.as_bytes()), Ok(()), "{}", request.scheme);
    }
}

#[test]
fn the_key_of_an_installation_can_be_a_json_web_key() {
    let other = r#"{"kty":"EC","crv":"P-256","x":"a","y":"b"}"#;
    let (request, key) = (&requests()[2], POSTAL_KEY_JWK);
    let headers = header_map(&request.headers);
    for text in [key.to_owned(), format!("{{\"keys\":[{key}]}}"), format!("{{\"keys\":[{other},{key}]}}")] {
        assert_eq!(verify(request, &text, &headers, request.body.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn every_flipped_bit_of_a_body_is_noticed() {
    for request in requests().iter().filter(|request| request.scheme != "mailgun") {
        let headers = header_map(&request.headers);
        let result = |body: &[u8]| verify(request, request.key, &headers, body);
        for at in 0..request.body.len() {
            let mut body = request.body.as_bytes().to_vec();
            body[at] ^= 1;
            assert_eq!(result(&body), Err(SignatureError::Mismatch), "{}: bit {at}", request.scheme);
        }
        for body in [String::new(), format!("{} ", request.body), request.body.trim_end().to_owned() + "x", request.body.repeat(2)] {
            assert_eq!(result(body.as_bytes()), Err(SignatureError::Mismatch), "{}", request.scheme);
        }
    }
}

#[test]
fn a_signature_in_another_form_is_refused() {
    for request in requests().iter().filter(|request| !request.headers.is_empty()) {
        let (name, value) = request.headers[0];
        let rest = &request.headers[1..];
        let with = |value: &str| {
            let mut headers = header_map(rest);
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
            headers
        };
        let flipped = format!("{}{}{}", &value[..10], if &value[10..11] == "A" { "B" } else { "A" }, &value[11..]);
        for wrong in [
            "",
            "A",
            "AAAA",
            "====",
            &flipped,
            &format!("{value}A"),
            &format!("sha256={value}"),
            &value[..value.len() / 2],
            &value.to_lowercase(),
            &format!("{value}, {value}"),
        ] {
            assert!(verify(request, request.key, &with(wrong), request.body.as_bytes()).is_err(), "{}: {wrong:?}", request.scheme);
        }
        assert_eq!(verify(request, request.key, &header_map(rest), request.body.as_bytes()), Err(SignatureError::Missing));
        let mut repeated = with(value);
        repeated.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        assert_eq!(verify(request, request.key, &repeated, request.body.as_bytes()), Err(SignatureError::Malformed));
    }
}

#[test]
fn the_encoding_of_another_system_is_refused() {
    let requests = requests();
    let refused =
        |request: &Request, name, value: &str| verify(request, request.key, &header_map(&[(name, value)]), request.body.as_bytes());
    let padded = format!("{EMAILENGINE_SIGNATURE}=");
    assert_eq!(refused(&requests[0], "x-ee-wh-signature", &padded), Err(SignatureError::Malformed));
    let url_safe = STALWART_SIGNATURE.replace('+', "-").replace('/', "_").replace('=', "");
    assert_eq!(refused(&requests[1], "x-signature", &url_safe), Err(SignatureError::Malformed));
    // SHA-1, under the name of SHA-256 and under its own.
    assert_eq!(refused(&requests[2], "x-postal-signature-256", POSTAL_SIGNATURE_SHA1), Err(SignatureError::Mismatch));
    assert_eq!(refused(&requests[2], "x-postal-signature", POSTAL_SIGNATURE_SHA1), Err(SignatureError::Missing));
}

#[test]
fn another_key_is_noticed() {
    let requests = requests();
    for (request, key) in [
        (&requests[0], "service secre"),
        (&requests[0], "Service secret"),
        (&requests[1], "signature-key "),
        (&requests[2], POSTAL_KEY_1024),
        (&requests[6], "mailgun key2"),
    ] {
        let headers = header_map(&request.headers);
        assert_eq!(verify(request, key, &headers, request.body.as_bytes()), Err(SignatureError::Mismatch), "{}", request.scheme);
    }
}

#[test]
fn a_recorded_request_is_refused_after_a_day() {
    let (day, hour) = (24 * 3600, 3600);
    for request in requests() {
        let headers = header_map(&request.headers);
        let at = |seconds| verify_at(&request, request.key, &headers, request.body.as_bytes(), seconds);
        assert_eq!((at(SIGNED_AT + day), at(SIGNED_AT - hour + 1)), (Ok(()), Ok(())), "{}", request.scheme);
        for wrong in [SIGNED_AT + day + hour + 1, SIGNED_AT - hour - 1, SIGNED_AT * 2] {
            assert_eq!(at(wrong), Err(SignatureError::OutOfTime), "{}: {wrong}", request.scheme);
        }
        assert_eq!(at(60), Err(SignatureError::UnsetClock), "{}: the clock of the receiver is not set", request.scheme);
    }
}

#[test]
fn the_time_of_sendgrid_is_signed_as_it_is_sent() {
    let request = &requests()[5];
    for timestamp in ["1795877001", "01795877000", "", "1795877000.0", " 1795877000"] {
        let headers = header_map(&[request.headers[0], ("x-twilio-email-event-webhook-timestamp", timestamp)]);
        let result = verify(request, request.key, &headers, request.body.as_bytes());
        assert_eq!(result, Err(SignatureError::Mismatch), "{timestamp:?}");
    }
    let missing = header_map(&request.headers[..1]);
    assert_eq!(verify(request, request.key, &missing, request.body.as_bytes()), Err(SignatureError::Missing));
}

#[test]
fn a_token_of_mailgun_is_reported_for_the_receiver() {
    let (mailgun, none) = (scheme("mailgun"), HeaderMap::new());
    let request = &requests()[6];
    assert_eq!(mailgun.one_time_tokens(MAILGUN_BODY.as_bytes()), ["50charactertoken"]);
    // The signature of a parent account.
    let own = format!("{{\"timestamp\":\"1795877000\",\"token\":\"new\",\"signature\":\"{MAILGUN_SIGNATURE}\"}}");
    let parent = MAILGUN_BODY.replacen("\"signature\":{", &format!("\"signature\":{own},\"parent-signature\":{{"), 1);
    assert_eq!(verify(request, request.key, &none, parent.as_bytes()), Ok(()), "{parent}");
    // Both count: an old signature cannot hide behind a new token.
    assert_eq!(mailgun.one_time_tokens(parent.as_bytes()), ["new", "50charactertoken"]);

    let quoted = format!("\"{MAILGUN_SIGNATURE}\"");
    for (from, to, expected) in [
        // The digit moves from the token to the time.
        ("1795877000\",\"token\":\"5", "17958770005\",\"token\":\"", SignatureError::OutOfTime),
        ("\"1795877000\"", "\"1795877001\"", SignatureError::Mismatch),
        ("\"1795877000\"", "\"\"", SignatureError::Malformed),
        ("\"1795877000\"", "\"+1795877000\"", SignatureError::Malformed),
        ("\"1795877000\"", "1795877000", SignatureError::Malformed),
        ("50charactertoken", "50charactertokeN", SignatureError::Mismatch),
        (&quoted, "\"\"", SignatureError::Malformed),
        (&quoted, "\"00\"", SignatureError::Malformed),
        (&quoted, &format!("\"\u{fc}{}\"", &MAILGUN_SIGNATURE[2..]), SignatureError::Malformed),
        ("\"signature\":{", "\"other\":{", SignatureError::Missing),
    ] {
        let body = MAILGUN_BODY.replacen(from, to, 1);
        assert_ne!(body, MAILGUN_BODY);
        assert_eq!(verify(request, request.key, &none, body.as_bytes()), Err(expected), "{body}");
    }
    for body in ["", "[]", "null", "{}"] {
        assert!(verify(request, request.key, &none, body.as_bytes()).is_err(), "{body}");
        assert!(mailgun.one_time_tokens(body.as_bytes()).is_empty());
    }
    for other in SCHEMES.iter().filter(|scheme| scheme.name != "mailgun") {
        assert!(other.one_time_tokens(MAILGUN_BODY.as_bytes()).is_empty());
    }
}

#[test]
fn a_text_that_is_not_the_key_is_refused_with_the_reason() {
    let private = "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----";
    for (name, text, problem) in [
        ("stalwart", "", "the key is empty"),
        ("mailgun", " \n", "the key is empty"),
        ("emailengine", &"x".repeat(100_000), "exceeds the limit"),
        ("postal", private, "this is a private key"),
        ("postal", "secret", "expected a public key as PEM"),
        ("postal", SENDGRID_KEY, "the key is not an RSA public key"),
        ("postal", "{}", "the JSON is neither"),
        ("postal", r#"{"keys":[]}"#, "the JSON has no RSA key"),
        ("postal", r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, "the JSON has no RSA key"),
        ("sendgrid", "not base64!", "expected a public key in base64 or PEM"),
        ("sendgrid", P384_KEY, "the key is not a public key of the curve P-256"),
        ("sendgrid", POSTAL_KEY, "the key is not a public key of the curve P-256"),
        ("sendgrid", "MFkwEwYHKoZI", "the key is not a public key of the curve P-256"),
    ] {
        let found = VerificationKey::parse(scheme(name), text).unwrap_err();
        assert!(found.contains(problem), "{name}: {found}");
        assert!(!found.contains("secret") && !found.contains("c2VjcmV0"), "{found}");
    }
    let key = VerificationKey::parse(scheme("stalwart"), "signature-key").unwrap();
    assert_eq!(format!("{key:?}"), "***");
    // A key of another scheme does not match.
    let result = scheme("postal").verify(&key, &HeaderMap::new(), b"", UNIX_EPOCH);
    assert_eq!(result, Err(SignatureError::Mismatch));
}
