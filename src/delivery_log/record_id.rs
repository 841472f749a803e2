//! Identities of records, and keyed hashes of personal data.
//!
//! # Hashes are keyed
//!
//! The number of plausible addresses and IPs is small, so a plain hash can be reverted by trying them all. HMAC-SHA-256 with a key that
//! never leaves the machine prevents this. The same key results in the same hashes after a restart.

use crate::model::{Outcome, Record, RecordUid, UID_BYTES, hex};
use ring::hmac;
use std::fmt;
use std::sync::Arc;

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 32;

/// The key of all hashes. Debug output does not show it.
#[derive(Clone)]
pub struct HashKey(Arc<hmac::Key>);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl HashKey {
    /// Creates a key from bytes. [`super::hash_key`] reads them from a directory.
    #[must_use]
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The hash of a text, in hexadecimal.
    #[must_use]
    pub fn hash(&self, text: &str) -> [u8; 2 * UID_BYTES] {
        hex(&half(&hmac::sign(&self.0, text.as_bytes())))
    }

    /// The identity of a record: a hash of its time, its outcome and the fields that identify it.
    #[must_use]
    pub fn uid(&self, record: &Record, scratch: &mut Vec<u8>) -> RecordUid {
        scratch.clear();
        // A delivery in progress is one record, although its time changes.
        let at = if record.outcome == Some(Outcome::InProgress) { 0 } else { record.at };
        scratch.extend_from_slice(&at.to_le_bytes());
        scratch.extend_from_slice(&record.received.unwrap_or(0).to_le_bytes());
        scratch.extend_from_slice(record.outcome.map_or("", Outcome::as_str).as_bytes());
        for (field, value) in record.fields.iter().filter(|(field, _)| field.info().identifies) {
            scratch.push(*field as u8);
            scratch.extend_from_slice(&(value.len() as u64).to_le_bytes());
            scratch.extend_from_slice(value.as_bytes());
        }
        self.uid_of(scratch)
    }

    /// The identity of a record that these bytes identify.
    #[must_use]
    pub fn uid_of(&self, identity: &[u8]) -> RecordUid {
        RecordUid::new(half(&hmac::sign(&self.0, identity)))
    }
}

fn half(tag: &hmac::Tag) -> [u8; UID_BYTES] {
    let mut half = [0; UID_BYTES];
    half.iter_mut().zip(tag.as_ref()).for_each(|(to, byte)| *to = *byte);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Field;

    fn record() -> Record {
        let fields =
            vec![(Field::MessageId, "1a".to_owned()), (Field::Recipient, "a@example.com".to_owned()), (Field::User, "u".to_owned())];
        let outcome = Some(Outcome::Deferred);
        Record { at: 20, received: Some(10), outcome, fields, ..Record::default() }
    }

    fn uid(key: u8, change: impl FnOnce(&mut Record)) -> RecordUid {
        let mut record = record();
        change(&mut record);
        HashKey::new(&[key; KEY_BYTES]).uid(&record, &mut Vec::new())
    }

    #[test]
    fn only_identifying_fields_are_part_of_the_identity() {
        let first = uid(1, |_| {});
        for (what, other) in [
            ("size", uid(1, |r| r.size = Some(9))),
            ("score", uid(1, |r| r.spam_score = Some(9.0))),
            ("user", uid(1, |r| r.fields[2].1 = "renamed".into())),
        ] {
            assert_eq!(first, other, "{what}");
        }
        for (what, other) in [
            ("key", uid(2, |_| {})),
            ("time", uid(1, |r| r.at = 21)),
            ("received", uid(1, |r| r.received = None)),
            ("outcome", uid(1, |r| r.outcome = Some(Outcome::Failed))),
            ("recipient", uid(1, |r| r.fields[1].1 = "b@example.com".into())),
            ("field", uid(1, |r| r.fields[1].0 = Field::DeliveredTo)),
            ("no recipient", uid(1, |r| drop(r.fields.remove(1)))),
        ] {
            assert_ne!(first, other, "{what}");
        }
    }

    #[test]
    fn a_delivery_in_progress_is_one_record() {
        let at = |at| uid(1, |r| (r.at, r.outcome) = (at, Some(Outcome::InProgress)));
        assert_eq!(at(20), at(30));
    }

    #[test]
    fn hashes_depend_on_the_key_and_do_not_reveal_it() {
        let (one, two) = (HashKey::new(&[1; KEY_BYTES]), HashKey::new(&[2; KEY_BYTES]));
        assert_eq!(one.hash("a"), one.hash("a"));
        assert_ne!(one.hash("a"), two.hash("a"));
        assert_eq!(format!("{one:?}"), "***");
    }
}
