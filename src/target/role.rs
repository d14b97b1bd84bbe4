//! What a group of nodes is there for. The bundled stack has six roles that brunt knows; a group of
//! the user's own has whatever name the target gives it, and is the same thing to everything that
//! only asks for names.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A role. Two roles with one name differ when one of them is bundled: what brunt knows of its own
/// `database` does not hold of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A CDN edge.
    Cdn,
    /// Tells clients which edge is nearest and healthy, as a DNS would.
    Directory,
    Balancer,
    App,
    Cache,
    Database,
    /// The user's own program, or a process that brunt attaches to.
    Service(ServiceName),
}

impl Role {
    /// Those of the bundled stack.
    pub const ALL: [Role; 6] =
        [Role::Cdn, Role::Directory, Role::Balancer, Role::App, Role::Cache, Role::Database];

    pub fn name(self) -> &'static str {
        match self {
            Role::Cdn => "cdn",
            Role::Directory => "directory",
            Role::Balancer => "balancer",
            Role::App => "app",
            Role::Cache => "cache",
            Role::Database => "database",
            Role::Service(name) => name.0,
        }
    }

    /// A bundled role by its name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|r| r.name() == name)
    }

    /// A group of the user's own.
    pub fn service(name: &str) -> Role {
        Role::Service(ServiceName::new(name))
    }

    pub fn is_bundled(self) -> bool {
        !matches!(self, Role::Service(_))
    }
}

/// A name that is as cheap to copy as the bundled ones: each is kept once, until the process ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(&'static str);

impl ServiceName {
    fn new(name: &str) -> ServiceName {
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.get(name).copied();
        ServiceName(known.unwrap_or_else(|| {
            let kept: &'static str = Box::leak(name.to_string().into_boxed_str());
            names.insert(kept);
            kept
        }))
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl Serialize for ServiceName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(|name| ServiceName::new(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_a_bundled_name_is_another_role() {
        let own = Role::service("database");
        assert_eq!(own.name(), Role::Database.name());
        assert_ne!(own, Role::Database);
        assert_eq!(own, Role::service("database"));
        for role in [own, Role::Database] {
            let text = serde_json::to_string(&role).unwrap();
            assert_eq!(serde_json::from_str::<Role>(&text).unwrap(), role, "{text}");
        }
    }
}
