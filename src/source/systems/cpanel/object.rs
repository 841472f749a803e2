//! Objects of WHM's responses.
//!
//! The derived readers of structs also accept a list, whose elements they take by position, and an object of which they know no member.
//! Neither is a row of the expected kind.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A value that was read from an object.
#[derive(Debug)]
pub struct Object<T> {
    pub value: T,
    /// `true` if the object has a member that the value has, even if it is `null`.
    pub has_known_member: bool,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut has_known_member = false;
        let members = Members { map, has_known: &mut has_known_member };
        let value = T::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Object { value, has_known_member })
    }
}

/// The members of an object while they are read.
struct Members<'k, A> {
    map: A,
    has_known: &'k mut bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.map.next_key_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        // The value of an unknown member is read as `IgnoredAny`, which has no size.
        *self.has_known |= size_of::<V::Value>() > 0;
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::source::systems::cpanel::lenient::LenientNumber;

    #[derive(Debug, Deserialize)]
    struct Row {
        #[serde(default)]
        n: LenientNumber,
    }

    #[test]
    fn only_objects_are_accepted_and_unknown_members_are_distinguished() {
        let read = |json: &str| serde_json::from_str::<Object<Row>>(json).map(|object| (object.value.n, object.has_known_member)).ok();
        for (json, expected) in [
            (r#"{"n":3}"#, Some((LenientNumber::Number(3.0), true))),
            (r#"{"x":[{}],"n":null}"#, Some((LenientNumber::Absent, true))),
            (r#"{"n":"x","y":1}"#, Some((LenientNumber::Invalid, true))),
            (r#"{"N":3}"#, Some((LenientNumber::Absent, false))),
            ("{}", Some((LenientNumber::Absent, false))),
            ("[3]", None),
            ("null", None),
            ("3", None),
            ("\"n\"", None),
        ] {
            assert_eq!(read(json), expected, "{json}");
        }
    }
}
