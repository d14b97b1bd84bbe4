//! Whom a fault hits. Written `app-1`, `server:app-1`, `app`, `app:25%`, `database/leader`,
//! `database/replica`, or a link, `app->database/leader`, whose two ends are any of these but a server.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The blast radius of a fault, resolved against the running target when it fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Selector {
    /// One node by its name: `app-1`.
    Node(String),
    /// The server that holds the named node: `server:app-1`.
    ServerOf(String),
    /// Every node of a role: `app`.
    Role(String),
    /// A share of the nodes of a role, rounded up, the first ones by name: `app:25%`.
    Share(String, f64),
    /// The node that leads a role when the fault fires: `database/leader`.
    Leader(String),
    /// The first node by name that follows in a role when the fault fires: `database/replica`.
    Replica(String),
    /// Every link from a node of the first to a node of the second: `app->database`. Visitors are
    /// `visitors`, or `visitors:eu` for those of a region.
    Link(Box<Selector>, Box<Selector>),
    /// Visitors, as the dialling end of a link: of this region, or of all.
    Visitors(Option<String>),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` selects nothing; write app-1, server:app-1, app, app:25%, database/leader, \
     database/replica or, for a link, app->database"
)]
pub struct SelectorError(String);

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let wrong = || SelectorError(text.to_string());
        let named = |name: &str| {
            let sound = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            sound.then(|| name.to_string()).ok_or_else(wrong)
        };
        if let Some((from, to)) = text.split_once("->") {
            let from = match from.trim().split_once(':') {
                Some(("visitors", region)) => Selector::Visitors(Some(named(region)?)),
                None if from.trim() == "visitors" => Selector::Visitors(None),
                _ => from.trim().parse().map_err(|_| wrong())?,
            };
            let to: Selector = to.trim().parse().map_err(|_| wrong())?;
            let is_end =
                |end: &Selector| !matches!(end, Selector::ServerOf(_) | Selector::Link(..));
            return match is_end(&from) && is_end(&to) {
                true => Ok(Selector::Link(Box::new(from), Box::new(to))),
                false => Err(wrong()),
            };
        }
        if let Some(node) = text.strip_prefix("server:") {
            return Ok(Selector::ServerOf(named(node)?));
        }
        if let Some(role) = text.strip_suffix("/leader") {
            return Ok(Selector::Leader(named(role)?));
        }
        if let Some(role) = text.strip_suffix("/replica") {
            return Ok(Selector::Replica(named(role)?));
        }
        if let Some((role, share)) = text.split_once(':') {
            let percent: f64 =
                share.strip_suffix('%').and_then(|s| s.parse().ok()).ok_or_else(wrong)?;
            return match percent > 0.0 && percent <= 100.0 {
                true => Ok(Selector::Share(named(role)?, percent / 100.0)),
                false => Err(wrong()),
            };
        }
        let name = named(text)?;
        let numbered =
            name.rsplit_once('-').is_some_and(|(_, n)| n.chars().all(|c| c.is_ascii_digit()));
        Ok(if numbered { Selector::Node(name) } else { Selector::Role(name) })
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "app-1, server:app-1, app, app:25%, database/leader, database/replica or, \
                            for a link, app->database",
            "pattern": "^[A-Za-z0-9]",
        })
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;
    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        selector.to_string()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Node(name) | Selector::Role(name) => f.write_str(name),
            Selector::ServerOf(name) => write!(f, "server:{name}"),
            Selector::Share(role, share) => write!(f, "{role}:{}%", share * 100.0),
            Selector::Leader(role) => write!(f, "{role}/leader"),
            Selector::Replica(role) => write!(f, "{role}/replica"),
            Selector::Link(from, to) => write!(f, "{from}->{to}"),
            Selector::Visitors(None) => f.write_str("visitors"),
            Selector::Visitors(Some(region)) => write!(f, "visitors:{region}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_read_back() {
        for text in [
            "app-1",
            "server:app-1",
            "app",
            "app:25%",
            "database/leader",
            "app->database/leader",
            "database/replica",
            "visitors->balancer",
            "visitors:eu->cdn-1",
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "app:",
            "app:0%",
            "app:120%",
            "/leader",
            "a b",
            "server:",
            "a->",
            "a->server:b",
            "a->b->c",
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains("database/leader"), "{error}");
        }
    }
}
