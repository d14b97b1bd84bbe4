//! A plan for another process, bit by bit. JSON would do but for its numbers: a rate that is read
//! from decimal digits may differ in its last bit, and with it the schedule.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// Anything that serde can describe, with its numbers as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Exact {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Exact>),
    Map(Vec<(String, Exact)>),
}

impl Exact {
    /// # Errors
    /// When the value cannot be described, as a map whose keys are not text.
    pub fn of<T: Serialize>(value: &T) -> Result<Exact, serde_json::Error> {
        serde_json::to_value(value).map(Exact::from)
    }

    /// # Errors
    /// When this does not describe a `T`.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        serde_json::from_value(Value::from(self))
    }
}

impl From<Value> for Exact {
    fn from(value: Value) -> Exact {
        match value {
            Value::Null => Exact::Null,
            Value::Bool(is) => Exact::Bool(is),
            Value::Number(n) => match (n.as_u64(), n.as_i64()) {
                (Some(n), _) => Exact::Unsigned(n),
                (None, Some(n)) => Exact::Signed(n),
                (None, None) => n.as_f64().map_or(Exact::Null, Exact::Float),
            },
            Value::String(text) => Exact::Text(text),
            Value::Array(list) => Exact::List(list.into_iter().map(Exact::from).collect()),
            Value::Object(map) => {
                Exact::Map(map.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

impl From<Exact> for Value {
    fn from(exact: Exact) -> Value {
        match exact {
            Exact::Null => Value::Null,
            Exact::Bool(is) => Value::Bool(is),
            Exact::Unsigned(n) => n.into(),
            Exact::Signed(n) => n.into(),
            Exact::Float(n) => Number::from_f64(n).map_or(Value::Null, Value::Number),
            Exact::Text(text) => Value::String(text),
            Exact::List(list) => Value::Array(list.into_iter().map(Value::from).collect()),
            Exact::Map(map) => {
                Value::Object(map.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_bit_of_a_number_arrives(
            rates in proptest::collection::vec(proptest::num::f64::NORMAL, 0..20),
            seed: u64,
            offset: i64,
        ) {
            let sent = (rates, seed, offset, Some("a"), None::<u8>);
            let bytes = postcard::to_stdvec(&Exact::of(&sent).unwrap()).unwrap();
            let exact: Exact = postcard::from_bytes(&bytes).unwrap();
            let got: (Vec<f64>, u64, i64, Option<String>, Option<u8>) = exact.read().unwrap();
            prop_assert_eq!((got.0, got.1, got.2), (sent.0, sent.1, sent.2));
        }
    }
}
