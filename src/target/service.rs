//! Where the processes of a group come from: brunt's own program, a command of the user's, or what
//! runs already; and how brunt knows that they are ready.

use crate::base::Nanos;
use crate::base::units::duration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `start = "bundled"`, `{ command = [...] }` or `{ attach = {...} }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Start {
    #[default]
    Bundled,
    Command(Box<Command>),
    Attach(Attach),
}

/// A program of the user's own. Command, environment and files may hold placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Where it is started; relative to the target's file. Without it, the node's own folder.
    pub folder: Option<PathBuf>,
    /// Files in the node's own folder, each with the template that it is written from.
    pub files: BTreeMap<String, Template>,
    /// What relative paths of this target are relative to.
    pub base: PathBuf,
}

/// A file beside the target's, and its text once it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Template {
    pub from: String,
    pub text: String,
}

impl From<String> for Template {
    fn from(from: String) -> Self {
        Template { from, text: String::new() }
    }
}

/// How a running process is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attach {
    /// The file holds its number.
    PidFile(PathBuf),
    /// It listens on this TCP port.
    Port(u16),
    /// All that is in this cgroup: a folder, or the path as `/proc/PID/cgroup` shows it.
    Cgroup(PathBuf),
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attach::PidFile(path) => write!(f, "the pid file {}", path.display()),
            Attach::Port(port) => write!(f, "port {port}"),
            Attach::Cgroup(path) => write!(f, "the cgroup {}", path.display()),
        }
    }
}

/// `[attach]`: what may be done to processes that brunt did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachRules {
    /// Kinds of faults.
    pub allow: Vec<String>,
    /// No fault on them lasts longer.
    #[serde(with = "duration")]
    pub max_duration: Nanos,
}

/// How a node shows that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// `GET` of this path is answered with 200 to 399.
    Http(String),
    /// It accepts connections.
    Tcp(bool),
    /// A Redis command is answered, and not with an error.
    Resp(String),
    /// A program of the user's ends with status 0.
    Command(Vec<String>),
}

impl Default for Ready {
    fn default() -> Self {
        Ready::Tcp(true)
    }
}

/// A command of one's own, or what to attach to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartTable {
    command: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    folder: Option<PathBuf>,
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    files: Option<BTreeMap<String, Template>>,
    attach: Option<Attach>,
}

impl JsonSchema for Start {
    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<StartTable>();
        json_schema!({ "anyOf": [{ "const": "bundled" }, table] })
    }
}

const FORMS: &str =
    "write \"bundled\", { command = [\"nginx\", ...] } or { attach = { port = 8080 } }";

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = Start;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"bundled\", a command or what to attach to")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Start, E> {
                match text {
                    "bundled" => Ok(Start::Bundled),
                    other => Err(E::custom(format!("`{other}` starts nothing; {FORMS}"))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Start, A::Error> {
                StartTable::deserialize(MapAccessDeserializer::new(map))?
                    .form()
                    .map_err(A::Error::custom)
            }
        }
        d.deserialize_any(Forms)
    }
}

impl StartTable {
    fn form(self) -> Result<Start, String> {
        let has_more = self.env.is_some() || self.folder.is_some() || self.files.is_some();
        match (self.command, self.attach) {
            (Some(command), None) => Ok(Start::Command(Box::new(Command {
                command,
                env: self.env.unwrap_or_default(),
                folder: self.folder,
                files: self.files.unwrap_or_default(),
                base: PathBuf::new(),
            }))),
            (None, Some(_)) if has_more => Err(
                "`env`, `folder` and `files` belong to a command; what runs already has its own"
                    .into(),
            ),
            (None, Some(attach)) => Ok(Start::Attach(attach)),
            (Some(_), Some(_)) => {
                Err("both a command and what to attach to; a node is one of them".into())
            }
            (None, None) => Err(format!("it says neither what to start nor what to find; {FORMS}")),
        }
    }
}

/// For `#[serde(deserialize_with = "some_address")]`.
pub(super) fn some_address<'de, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(d)?;
    let address = text.parse().map_err(|_| {
        D::Error::custom(format!("`{text}` is not an address; write it like \"127.0.0.1:18081\""))
    });
    address.map(Some)
}

/// For `#[serde(deserialize_with = "some_duration")]`.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Nanos>, D::Error> {
    duration::deserialize(d).map(Some)
}
