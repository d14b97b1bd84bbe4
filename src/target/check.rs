//! What a target's document may not say, by the key that is wrong.

use super::file::{ServerGroup, Target, TargetError, TargetNode};
use super::role::Role;
use super::service::Start;
use super::service_check;
use super::url::LoadUrl;
use crate::base::document::nearest;
use std::collections::BTreeMap;

/// A key and what is wrong with it.
pub(super) type Wrong = (String, String);

fn wrong<T>(key: impl Into<String>, problem: impl Into<String>) -> Result<T, Wrong> {
    Err((key.into(), problem.into()))
}

impl Target {
    /// Refuses what cannot work, by the key that is wrong; `place` says where it is written.
    pub(super) fn check(&self, place: &dyn Fn(&str) -> String) -> Result<(), TargetError> {
        let checked = match &self.url {
            Some(url) => self.check_url(url),
            None => self.check_servers(),
        };
        checked.map_err(|(key, problem)| TargetError::Impossible {
            file: place(&key),
            key,
            problem,
        })
    }

    fn check_url(&self, url: &str) -> Result<(), Wrong> {
        LoadUrl::parse(url).map_err(|problem| ("url".to_string(), problem))?;
        match self.server.is_empty() && self.public.entry.is_empty() {
            true => Ok(()),
            false => wrong("url", "a target is either a url or servers, not both"),
        }
    }

    fn check_servers(&self) -> Result<(), Wrong> {
        if self.server.is_empty() {
            return wrong("server", "there is no server and no url");
        }
        // What things are called first, for the rest is told by these names.
        for (name, group) in &self.server {
            for (index, node) in group.node.iter().enumerate() {
                node.check_role()
                    .map_err(|problem| (format!("server.{name}.node[{index}].role"), problem))?;
            }
        }
        for (name, group) in &self.server {
            let within = |(key, problem)| (format!("server.{name}.{key}"), problem);
            group.check().map_err(within)?;
            for (index, node) in group.node.iter().enumerate() {
                let within =
                    |(key, problem)| (format!("server.{name}.node[{index}].{key}"), problem);
                node.check(self).map_err(within)?;
                service_check::node(self, group, node).map_err(within)?;
            }
        }
        service_check::target(self)?;
        self.check_roles_are_one_thing()?;
        self.check_entry()?;
        match self.has_bundled() {
            true => self.check_stack(),
            false => Ok(()),
        }
    }

    /// Selectors know roles by their names.
    fn check_roles_are_one_thing(&self) -> Result<(), Wrong> {
        let mut is_bundled: BTreeMap<&str, bool> = BTreeMap::new();
        for (.., node) in self.nodes() {
            let own = node.start == Start::Bundled;
            if *is_bundled.entry(&node.role).or_insert(own) != own {
                let problem = format!(
                    "some nodes of `{}` are bundled and some are not; give one of them another name",
                    node.role
                );
                return wrong("server", problem);
            }
        }
        Ok(())
    }

    fn check_entry(&self) -> Result<(), Wrong> {
        let Some(last) = self.public.entry.last() else {
            return wrong("public.entry", "no role is public; name at least one, like [\"app\"]");
        };
        for entry in &self.public.entry {
            if self.count_named(entry) == 0 && !self.has_node(entry) {
                let known: Vec<&str> = self.nodes().map(|(.., n)| n.role.as_str()).collect();
                let hint = nearest(entry, known.iter().copied())
                    .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                return wrong("public.entry", format!("no server has a `{entry}`{hint}"));
            }
        }
        let is_bundled = |role: Role| last == role.name() && self.count(role) > 0;
        if [Role::Cdn, Role::Directory, Role::Cache, Role::Database].into_iter().any(is_bundled) {
            let problem = format!("`{last}` cannot take every request; end with balancer or app");
            return wrong("public.entry", problem);
        }
        if self.count_named(last) > 1 {
            let problem = match is_bundled(Role::App) {
                true => "several apps need a balancer in front".into(),
                false => format!(
                    "there are several `{last}`; put a balancer in front, or name one of them, \
                     like `{last}-1`"
                ),
            };
            return wrong("public.entry", problem);
        }
        let first_ones = &self.public.entry[..self.public.entry.len() - 1];
        match first_ones.iter().find(|e| *e != Role::Cdn.name() || self.count(Role::Cdn) == 0) {
            Some(entry) if !self.has_bundled() => {
                let problem = format!(
                    "`{entry}` would get nothing: the last entry takes every request; name one"
                );
                wrong("public.entry", problem)
            }
            _ => Ok(()),
        }
    }

    /// Whether a node will have this name: `web-2`.
    pub(super) fn has_node(&self, name: &str) -> bool {
        let Some((role, number)) = name.rsplit_once('-') else { return false };
        let number: u32 = number.parse().unwrap_or(0);
        number > 0 && number <= self.count_named(role)
    }

    /// What the bundled stack needs of itself.
    fn check_stack(&self) -> Result<(), Wrong> {
        let count = |role| self.count(role);
        if count(Role::App) == 0 {
            return wrong("server", "there is no `app`");
        }
        match count(Role::Database) {
            0 => return wrong("server", "there is no `database`"),
            2 => {
                let problem = "two databases cannot form a majority when one is lost: they fail more \
                               often than one; use 1, or 3 or more";
                return wrong("server", problem);
            }
            _ => {}
        }
        for role in [Role::Balancer, Role::Cache, Role::Directory] {
            if count(role) > 1 {
                return wrong("server", format!("more than one `{}` is not built", role.name()));
            }
        }
        if count(Role::Cdn) > 0 && count(Role::Directory) == 0 {
            return wrong("server", "edges need a `directory` that names them to visitors");
        }
        if self.app.cost.feed.0 == 0 && self.database.cost.feed.0 == 0 {
            return wrong("app.cost", "a request that costs nothing has no capacity");
        }
        Ok(())
    }
}

impl ServerGroup {
    fn check(&self) -> Result<(), Wrong> {
        if self.count == 0 || self.count > 50 {
            return wrong("count", format!("{} servers; use 1 to 50", self.count));
        }
        for (key, share) in [("units", self.units), ("cores", self.cores)] {
            if share.is_some_and(|share| !(share > 0.0 && share.is_finite())) {
                let share = share.unwrap_or_default();
                return wrong(key, format!("{share} {key}; use a number above 0"));
            }
        }
        if self.units.is_some() && self.cores.is_some() {
            return wrong("cores", "there are `units` too; give the share in one of them");
        }
        if self.node.is_empty() {
            return wrong("node", "the server runs nothing; add [[server.NAME.node]]");
        }
        let has_bundled = self.node.iter().any(|n| n.start == Start::Bundled);
        if has_bundled && self.units.is_none() {
            return wrong("units", "its share of CPU is missing; write units = 1");
        }
        if !self.regions.is_empty() && self.regions.len() != self.count as usize {
            let problem = format!("{} regions for {} servers", self.regions.len(), self.count);
            return wrong("regions", problem);
        }
        Ok(())
    }
}

impl TargetNode {
    fn check_role(&self) -> Result<(), String> {
        if self.start != Start::Bundled {
            return service_check::role(&self.role);
        }
        if Role::parse(&self.role).is_none() {
            let roles = Role::ALL.map(Role::name);
            let hint = nearest(&self.role, roles.into_iter())
                .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            return Err(format!(
                "`{}` is not a role of the bundled stack ({}){hint}; a group of your own says how it \
                 starts: start = {{ command = [...] }}",
                self.role,
                roles.join(", ")
            ));
        }
        Ok(())
    }

    fn check(&self, target: &Target) -> Result<(), Wrong> {
        for needed in &self.needs {
            if target.count_named(needed) == 0 {
                return wrong("needs", format!("needs `{needed}`, but no server has one"));
            }
        }
        Ok(())
    }
}
