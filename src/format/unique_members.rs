//! JSON values whose objects do not repeat a member, or in which one of the values of a repeated member is used.
//!
//! The meaning of an object with two members of one name is undefined (RFC 8259, section 4), so neither of the values is certain.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::collections::HashSet;
use std::fmt;

/// A JSON value. Deserializing it fails if an object in it repeats a member.
pub struct UniqueMembers(pub Value);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RepeatedMembers::Error.deserialize(deserializer).map(Self)
    }
}

/// The treatment of a member that an object has twice. A member that it has more than twice is always an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatedMembers {
    /// It is an error.
    Error,
    /// The first value is used.
    First,
    /// The second value is used.
    Second,
}

impl<'de> DeserializeSeed<'de> for RepeatedMembers {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RepeatedMembers {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut repeated = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let is_repeated = object.contains_key(&name);
            if is_repeated && (self == Self::Error || repeated.contains(&name)) {
                return Err(A::Error::custom(format_args!("an object has two members `{name}`")));
            }
            let value = members.next_value_seed(self)?;
            if is_repeated {
                repeated.insert(name.clone());
            }
            if !is_repeated || self == Self::Second {
                object.insert(name, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_serde_json() {
        for text in [
            "null",
            "[true,false,1,-1,1.5,18446744073709551615,-9223372036854775808,1e300,0.1,\"\",\"a\\n\\u00e9\"]",
            "{\"b\":{\"a\":1,\"b\":[{\"a\":2},{\"a\":3}]},\"a\":{}}",
        ] {
            let UniqueMembers(value) = serde_json::from_str(text).unwrap();
            assert_eq!(value, serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn one_of_two_values_is_used_but_not_one_of_three() {
        let read = |policy: RepeatedMembers, text: &str| {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            policy.deserialize(&mut deserializer).map(|value| value.to_string()).ok()
        };
        let text = r#"{"a":1,"b":[{"c":1,"c":[2]}],"a":{"d":1}}"#;
        assert_eq!(read(RepeatedMembers::First, text).as_deref(), Some(r#"{"a":1,"b":[{"c":1}]}"#));
        assert_eq!(read(RepeatedMembers::Second, text).as_deref(), Some(r#"{"a":{"d":1},"b":[{"c":[2]}]}"#));
        for policy in [RepeatedMembers::First, RepeatedMembers::Second] {
            assert_eq!(read(policy, r#"{"a":1,"a":2,"a":1}"#), None);
        }
        assert_eq!(read(RepeatedMembers::Error, text), None);
    }

    #[test]
    fn a_repeated_member_is_an_error() {
        for text in ["{\"a\":100,\"a\":5}", "{\"a\":1,\"b\":2,\"a\":1}", "[{\"c\":{\"a\":[],\"\\u0061\":null}}]"] {
            let error = serde_json::from_str::<UniqueMembers>(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with("an object has two members `a` at line 1 column "), "{error}");
        }
    }
}
