//! A target's document: servers with their share of CPU, the nodes on them, what is public.

use super::settings::{Role, Settings};
use super::url::LoadUrl;
use crate::base::Nanos;
use crate::base::document::DocumentError;
use crate::base::library::LibraryError;
use crate::base::units::duration;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The system under test.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Roles that visitors reach: the last one takes everything that the first ones do not.
    #[serde(default)]
    pub entry: Vec<Role>,
}

/// `[server.NAME]`: one or more equal servers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerGroup {
    #[serde(default = "one")]
    pub count: u32,
    /// CPU share of each, in units.
    pub units: f64,
    /// How long until a node that died by itself is started again.
    #[serde(default = "restart_after", with = "duration")]
    pub restart_after: Nanos,
    /// Where each stands, when not at home: one name per server.
    #[serde(default)]
    pub regions: Vec<String>,
    pub node: Vec<TargetNode>,
}

/// `[[server.NAME.node]]`: one process on each server of the group.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetNode {
    pub role: Role,
    #[serde(default)]
    pub start: Start,
    /// Roles that it talks to.
    #[serde(default)]
    pub needs: Vec<Role>,
}

/// `[[link]]`: a distance between two nodes, or between every node of a role and a node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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

/// Who wrote the program. Commands and processes of the user's own come with a later version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    #[default]
    Bundled,
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
            app: super::AppSettings::default(),
            balancer: super::BalancerSettings::default(),
            cache: super::CacheSettings::default(),
            database: super::DatabaseSettings::default(),
            cdn: super::CdnSettings::default(),
        })
    }

    /// Units over all its servers.
    pub fn budget_units(&self) -> f64 {
        self.server.values().map(|g| g.units * f64::from(g.count)).sum()
    }

    /// Nodes of a role, over all servers.
    pub fn count(&self, role: Role) -> u32 {
        let on = |g: &ServerGroup| g.node.iter().filter(|n| n.role == role).count() as u32;
        self.server.values().map(|g| g.count * on(g)).sum()
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

    /// Refuses what cannot work, by the key that is wrong; `place` says where it is written.
    pub(super) fn check(&self, place: &dyn Fn(&str) -> String) -> Result<(), TargetError> {
        let wrong = |key: String, problem: String| {
            Err(TargetError::Impossible { file: place(&key), key, problem })
        };
        if let Some(url) = &self.url {
            if let Err(problem) = LoadUrl::parse(url) {
                return wrong("url".into(), problem);
            }
            return match self.server.is_empty() && self.public.entry.is_empty() {
                true => Ok(()),
                false => {
                    wrong("url".into(), "a target is either a url or servers, not both".into())
                }
            };
        }
        if self.server.is_empty() {
            return wrong("server".into(), "there is no server and no url".into());
        }
        for (name, group) in &self.server {
            if let Err((key, problem)) = group.check() {
                return wrong(format!("server.{name}.{key}"), problem);
            }
            for needed in group.node.iter().flat_map(|n| &n.needs) {
                if self.count(*needed) == 0 {
                    let problem = format!("needs `{}`, but no server has one", needed.name());
                    return wrong(format!("server.{name}.node.needs"), problem);
                }
            }
        }
        if let Err((key, problem)) = self.check_roles() {
            return wrong(key.into(), problem);
        }
        Ok(())
    }

    fn check_roles(&self) -> Result<(), (&'static str, String)> {
        let count = |role| self.count(role);
        if self.public.entry.is_empty() {
            return Err((
                "public.entry",
                "no role is public; name at least one, like [\"app\"]".into(),
            ));
        }
        for role in &self.public.entry {
            if count(*role) == 0 {
                return Err(("public.entry", format!("no server has a `{}`", role.name())));
            }
        }
        let last = self.public.entry.last().expect("checked above");
        if matches!(last, Role::Cdn | Role::Directory | Role::Cache | Role::Database) {
            let problem =
                format!("`{}` cannot take every request; end with balancer or app", last.name());
            return Err(("public.entry", problem));
        }
        if *last == Role::App && count(Role::App) > 1 {
            return Err(("public.entry", "several apps need a balancer in front".into()));
        }
        if count(Role::App) == 0 {
            return Err(("server", "there is no `app`".into()));
        }
        match count(Role::Database) {
            0 => return Err(("server", "there is no `database`".into())),
            2 => {
                let problem = "two databases cannot form a majority when one is lost: they fail more \
                               often than one; use 1, or 3 or more";
                return Err(("server", problem.into()));
            }
            _ => {}
        }
        for role in [Role::Balancer, Role::Cache, Role::Directory] {
            if count(role) > 1 {
                return Err(("server", format!("more than one `{}` is not built", role.name())));
            }
        }
        if count(Role::Cdn) > 0 && count(Role::Directory) == 0 {
            return Err(("server", "edges need a `directory` that names them to visitors".into()));
        }
        if self.app.cost.feed.0 == 0 && self.database.cost.feed.0 == 0 {
            return Err(("app.cost", "a request that costs nothing has no capacity".into()));
        }
        Ok(())
    }
}

impl ServerGroup {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.count == 0 || self.count > 50 {
            return Err(("count", format!("{} servers; use 1 to 50", self.count)));
        }
        if !(self.units > 0.0 && self.units.is_finite()) {
            return Err(("units", format!("{} units; use a number above 0", self.units)));
        }
        if self.node.is_empty() {
            return Err(("node", "the server runs nothing; add [[server.NAME.node]]".into()));
        }
        if !self.regions.is_empty() && self.regions.len() != self.count as usize {
            let problem = format!("{} regions for {} servers", self.regions.len(), self.count);
            return Err(("regions", problem));
        }
        Ok(())
    }
}
