//! A target's document: servers with their share of CPU, the nodes on them, what is public.

use super::role::Role;
use super::service::{AttachRules, Ready, Start, some_address, some_duration};
use super::settings::Settings;
use super::url::LoadUrl;
use crate::base::Nanos;
use crate::base::document::DocumentError;
use crate::base::library::LibraryError;
use crate::base::units::duration;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The system under test.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    #[serde(skip)]
    pub name: String,
    /// One line that a report may print.
    #[serde(default)]
    pub about: String,
    /// The region in which servers stand that name no other.
    #[serde(default = "home")]
    pub home: String,
    /// A target that is only an address; then nothing else may be given.
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub public: Public,
    /// Groups of equal servers.
    #[serde(default)]
    pub server: BTreeMap<String, ServerGroup>,
    /// Links between nodes that have a distance of their own.
    #[serde(default)]
    pub link: Vec<TargetLink>,
    /// What may be done to processes that brunt did not start; without it, nothing.
    #[serde(default)]
    pub attach: Option<AttachRules>,
    #[serde(default)]
    pub app: super::AppSettings,
    #[serde(default)]
    pub balancer: super::BalancerSettings,
    #[serde(default)]
    pub cache: super::CacheSettings,
    #[serde(default)]
    pub database: super::DatabaseSettings,
    #[serde(default)]
    pub cdn: super::CdnSettings,
}

/// `[public]`: what clients may know.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Roles or nodes that visitors reach: the last one takes everything that the first ones do
    /// not.
    #[serde(default)]
    pub entry: Vec<String>,
}

/// `[server.NAME]`: one or more equal servers.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerGroup {
    #[serde(default = "one")]
    pub count: u32,
    /// CPU share of each, in units.
    #[serde(default)]
    pub units: Option<f64>,
    /// Or in cores. Without either, a server of the user's own may use all of the target's cores.
    #[serde(default)]
    pub cores: Option<f64>,
    /// How long until a node that died by itself is started again.
    #[serde(default = "restart_after", with = "duration")]
    pub restart_after: Nanos,
    /// Where each stands, when not at home: one name per server.
    #[serde(default)]
    pub regions: Vec<String>,
    pub node: Vec<TargetNode>,
}

/// `[[server.NAME.node]]`: one process on each server of the group.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetNode {
    /// A role of the bundled stack, or the name of a group of the user's own.
    pub role: String,
    #[serde(default)]
    pub start: Start,
    /// Roles that it talks to.
    #[serde(default)]
    pub needs: Vec<String>,
    /// How a node that is not bundled shows that it serves.
    #[serde(default)]
    pub ready: Option<Ready>,
    /// And by when.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub ready_within: Option<Nanos>,
    /// Where it listens, when its address is not brunt's to give.
    #[serde(default, deserialize_with = "some_address")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
}

impl TargetNode {
    /// # Panics
    /// When it is bundled and not a role of the stack: refused when the target was read.
    pub fn role(&self) -> Role {
        match self.start {
            Start::Bundled => Role::parse(&self.role).expect("checked when the target was read"),
            Start::Command(_) | Start::Attach(_) => Role::service(&self.role),
        }
    }

    pub(super) fn is(&self, role: Role) -> bool {
        self.role == role.name() && (self.start == Start::Bundled) == role.is_bundled()
    }
}

/// `[[link]]`: a distance between two nodes, or between every node of a role and a node.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetLink {
    /// A node (`app-1`) or a role (`app`): the dialling end.
    pub from: String,
    /// A node or a role: the end that is dialled.
    pub to: String,
    /// Added to every exchange.
    #[serde(with = "duration")]
    pub round_trip: Nanos,
}

fn home() -> String {
    "home".into()
}

fn one() -> u32 {
    1
}

fn restart_after() -> Nanos {
    Nanos::from_secs(5)
}

#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Document(DocumentError),
    #[error("{0}")]
    Variant(String),
    #[error("{file}: `{key}`: {problem}")]
    Impossible { file: String, key: String, problem: String },
    #[error("{file}:{line}: {problem}", file = .file.display())]
    Template { file: std::path::PathBuf, line: usize, problem: String },
    #[error("{url}: {problem}")]
    Url { url: String, problem: String },
}

/// A URL as a message may show it: what stands before an `@` may be a password.
fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://...{}", &url[..scheme], &url[at..])
        }
        _ => url.to_string(),
    }
}

impl Target {
    /// A target that is only an address.
    ///
    /// # Errors
    /// When it cannot be loaded by this version.
    pub fn from_url(url: &str) -> Result<Target, TargetError> {
        let parsed = LoadUrl::parse(url)
            .map_err(|problem| TargetError::Url { url: without_user(url), problem })?;
        Ok(Target {
            name: parsed.host,
            about: String::new(),
            home: home(),
            url: Some(url.to_string()),
            public: Public::default(),
            server: BTreeMap::new(),
            link: Vec::new(),
            attach: None,
            app: super::AppSettings::default(),
            balancer: super::BalancerSettings::default(),
            cache: super::CacheSettings::default(),
            database: super::DatabaseSettings::default(),
            cdn: super::CdnSettings::default(),
        })
    }

    /// Units over all its servers.
    pub fn budget_units(&self) -> f64 {
        self.server.values().map(|g| g.units.unwrap_or(0.0) * f64::from(g.count)).sum()
    }

    /// Every node of the file, each once for all servers of its group.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&String, &ServerGroup, &TargetNode)> {
        self.server.iter().flat_map(|(name, g)| g.node.iter().map(move |n| (name, g, n)))
    }

    /// Nodes of a role, over all servers.
    pub fn count(&self, role: Role) -> u32 {
        self.nodes().filter(|(.., n)| n.is(role)).map(|(_, group, _)| group.count).sum()
    }

    /// Nodes of a role by its name, whoever wrote its program.
    pub(super) fn count_named(&self, role: &str) -> u32 {
        self.nodes().filter(|(.., n)| n.role == role).map(|(_, group, _)| group.count).sum()
    }

    /// Whether brunt knows what its nodes do: one of them is of the bundled stack.
    pub fn has_bundled(&self) -> bool {
        self.nodes().any(|(.., n)| n.start == Start::Bundled)
    }

    /// Whether visitors are sent to the edges of a bundled CDN.
    pub fn has_edges(&self) -> bool {
        self.count(Role::Cdn) > 0 && self.public.entry.iter().any(|e| e == Role::Cdn.name())
    }

    pub fn settings(&self) -> Settings {
        Settings {
            app: self.app.clone(),
            balancer: self.balancer.clone(),
            cache: self.cache.clone(),
            database: self.database.clone(),
            cdn: self.cdn.clone(),
        }
    }
}
