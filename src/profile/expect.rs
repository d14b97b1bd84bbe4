//! `expect`: what an answer must be to be ok.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// All of what it names must hold.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectSpec {
    pub status: Many<u16>,
    pub body_contains: Many<String>,
    pub json: Many<JsonSpec>,
}

/// A value in a JSON body.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonSpec {
    /// RFC 6901: `/items/0/name`; empty is the whole body.
    pub pointer: String,
    /// Without it, it is enough that there is a value.
    #[serde(default)]
    pub equals: Option<serde_json::Value>,
}

impl ExpectSpec {
    /// # Errors
    /// What cannot hold, or cannot fail.
    pub fn check(&self) -> Result<(), String> {
        if self.status.0.is_empty() && self.body_contains.0.is_empty() && self.json.0.is_empty() {
            return Err("says nothing; use `status`, `body_contains` or `json`".into());
        }
        if let Some(status) = self.status.0.iter().find(|s| !(200..600).contains(*s)) {
            return Err(format!("{status} is not the status of an answer; use 200 to 599"));
        }
        if self.body_contains.0.iter().any(String::is_empty) {
            return Err("`body_contains` is empty, which holds of every body".into());
        }
        match self.json.0.iter().find(|j| !j.pointer.is_empty() && !j.pointer.starts_with('/')) {
            Some(json) => Err(format!("the pointer `{}` must begin with `/`", json.pointer)),
            None => Ok(()),
        }
    }
}

/// One, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Many(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ManyVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Many_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one.clone(), { "type": "array", "items": one }] })
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one, or a list of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Many<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Many)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Many<ExpectSpec>, toml::de::Error> {
        #[derive(serde::Deserialize)]
        struct Document {
            expect: Many<ExpectSpec>,
        }
        toml::from_str::<Document>(text).map(|d| d.expect)
    }

    #[test]
    fn one_and_many_are_both_written() {
        let one = read(
            "expect = { status = 201, body_contains = 'ok', json = { pointer = '/a', equals = 1 } }",
        )
        .unwrap();
        assert_eq!((&one.0[0].status.0[..], one.0.len()), (&[201][..], 1));
        assert_eq!(one.0[0].json.0[0].equals, Some(serde_json::json!(1)));
        let many =
            read("[[expect]]\nstatus = [200, 404]\n[[expect]]\nbody_contains = 'x'").unwrap();
        assert_eq!((many.0.len(), &many.0[0].status.0[..]), (2, &[200, 404][..]));
        assert!(many.0.iter().all(|e| e.check().is_ok()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(read("expect = { satus = 200 }").unwrap_err().message().contains("satus"));
        assert!(read("expect = 5").is_err());
        for text in [
            "expect = {}",
            "expect = { status = 99 }",
            "expect = { body_contains = '' }",
            "expect = { json = { pointer = 'a' } }",
        ] {
            assert!(read(text).unwrap().0[0].check().is_err(), "{text}");
        }
    }
}
