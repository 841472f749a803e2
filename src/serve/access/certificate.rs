//! The end of a certificate's validity.
//!
//! The TLS library checks validity but does not expose it, so the few fields before it are skipped here. `X.509` certificates are DER:
//! each field is a tag, a length and a content.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// The version of a certificate, which is omitted in version 1.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The largest number of bytes of a length: 2^24 bytes are more than any certificate has.
const LENGTH_BYTES_MAX: usize = 3;

/// Returns the time when the first certificate of a chain expires. `None` if one of them cannot be read.
pub(super) fn chain_not_after(chain: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let times: Option<Vec<Timestamp>> = chain.iter().map(|certificate| not_after(certificate)).collect();
    times?.into_iter().min()
}

/// Returns the end of the validity of a certificate.
fn not_after(der: &[u8]) -> Option<Timestamp> {
    let mut certificate = Fields(Fields(der).expect(SEQUENCE)?);
    let mut fields = Fields(certificate.expect(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    fields.expect(INTEGER)?; // serial number
    fields.expect(SEQUENCE)?; // algorithm of the signature
    fields.expect(SEQUENCE)?; // issuer
    let mut validity = Fields(fields.expect(SEQUENCE)?);
    validity.next()?; // not before
    let (tag, time) = validity.next()?;
    timestamp(tag, std::str::from_utf8(time).ok()?)
}

/// Returns the time in a field. Years of two digits are between 1950 and 2049.
fn timestamp(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year: i16 = digits.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, digits.get(2..)?)
        }
        (GENERALIZED_TIME, 14) => (digits.get(..4)?.parse().ok()?, digits.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The remaining fields of a DER sequence.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Takes the next field: its tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match usize::from(*length) {
            short @ ..=0x7f => (short, rest),
            long => {
                let (bytes, rest) =
                    rest.split_at_checked(long - 0x80).filter(|(bytes, _)| (1..=LENGTH_BYTES_MAX).contains(&bytes.len()))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// Takes the next field, which must have this tag, and returns its content.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(year: i32, month: u8, day: u8) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["mail.example.com".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_end_of_validity_is_read() {
        // A year from 2050 on has another form.
        for (year, month, day) in [(2031, 2, 28), (2049, 12, 31), (2050, 1, 1), (2999, 6, 7)] {
            let expected: Timestamp = format!("{year:04}-{month:02}-{day:02}T00:00:00Z").parse().unwrap();
            assert_eq!(not_after(&certificate(year, month, day)), Some(expected));
        }
    }

    #[test]
    fn the_first_certificate_to_expire_counts() {
        let chain = [certificate(2040, 1, 1), certificate(2030, 1, 1), certificate(2060, 1, 1)];
        assert_eq!(chain_not_after(&chain), Some("2030-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(chain_not_after(&[]), None);
        assert_eq!(chain_not_after(&[certificate(2040, 1, 1), CertificateDer::from(vec![SEQUENCE])]), None);
    }

    /// No prefix and no changed byte of a certificate leads to a panic.
    #[test]
    fn damaged_certificates_are_not_read() {
        let der = certificate(2031, 2, 28);
        for length in 0..40 {
            assert_eq!(not_after(&der[..length]), None);
        }
        for at in 0..der.len() {
            for byte in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = der.to_vec();
                damaged[at] = byte;
                not_after(&damaged);
            }
        }
    }

    #[test]
    fn times_without_their_form_are_not_read() {
        for (tag, text) in [
            (UTC_TIME, "310228000000"),
            (UTC_TIME, "20310228000000Z"),
            (GENERALIZED_TIME, "310228000000Z"),
            (GENERALIZED_TIME, "20310230000000Z"),
            (UTC_TIME, "3102280000+0Z"),
            (SEQUENCE, "310228000000Z"),
        ] {
            assert_eq!(timestamp(tag, text), None, "{text}");
        }
    }
}
