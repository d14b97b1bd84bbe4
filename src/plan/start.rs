//! How a node comes to run. Of the user's own programs the plan holds what was written, with its
//! placeholders and its references to the environment; both are filled in when it is started.

use crate::base::Nanos;
use crate::target::{Attach, AttachRules, Command, Ready, Start, Target, TargetNode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// For a service to be ready when the target does not say.
const READY_WITHIN: Nanos = Nanos::from_secs(10);
const REDACTED: &str = "redacted";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPlan {
    /// `brunt serve ROLE`, which says itself when it is ready.
    #[default]
    Bundled,
    Command(Box<CommandPlan>),
    Attach(AttachPlan),
}

/// A program of the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandPlan {
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Where it is started; without it, the node's own folder.
    pub folder: Option<PathBuf>,
    /// Files in the node's own folder: their templates.
    pub files: BTreeMap<String, String>,
    pub ready: ReadyPlan,
    /// What relative paths are relative to; where a target's file is is nobody's business later.
    #[serde(skip)]
    pub base: PathBuf,
}

/// A process that runs already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachPlan {
    pub to: Attach,
    /// What may be done to it; without any, nothing.
    pub rules: Option<AttachRules>,
    pub ready: ReadyPlan,
}

/// How and by when it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyPlan {
    pub by: Ready,
    pub within: Nanos,
}

impl StartPlan {
    pub(super) fn of(target: &Target, node: &TargetNode) -> StartPlan {
        let ready = ReadyPlan {
            by: node.ready.clone().unwrap_or_default(),
            within: node.ready_within.unwrap_or(READY_WITHIN),
        };
        match &node.start {
            Start::Bundled => StartPlan::Bundled,
            Start::Attach(to) => {
                let (to, rules) = (to.clone(), target.attach.clone());
                StartPlan::Attach(AttachPlan { to, rules, ready })
            }
            Start::Command(command) => {
                let Command { command, env, folder, files, base } = (**command).clone();
                let files = files.into_iter().map(|(name, template)| (name, template.text));
                let files = files.collect();
                StartPlan::Command(Box::new(CommandPlan {
                    command,
                    env,
                    folder,
                    files,
                    ready,
                    base,
                }))
            }
        }
    }

    pub fn is_bundled(&self) -> bool {
        *self == StartPlan::Bundled
    }

    /// How readiness is asked for; bundled nodes say it themselves.
    pub fn ready(&self) -> Option<&ReadyPlan> {
        match self {
            StartPlan::Bundled => None,
            StartPlan::Command(command) => Some(&command.ready),
            StartPlan::Attach(attach) => Some(&attach.ready),
        }
    }

    /// Without the credentials in its environment: what may be written down.
    pub(super) fn redacted(&self) -> StartPlan {
        let mut start = self.clone();
        if let StartPlan::Command(command) = &mut start {
            for (name, value) in &mut command.env {
                if is_secret(name) && !value.contains("${env:") {
                    *value = REDACTED.into();
                }
            }
        }
        start
    }
}

/// Whether a variable of this name usually holds a credential.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["TOKEN", "KEY", "SECRET", "PASSWORD", "PASS", "PWD"].iter().any(|end| name.ends_with(end))
        && name != "PWD"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_credential_is_not_written_down_and_a_reference_is() {
        let env = [("API_TOKEN", "abc"), ("DB_PASSWORD", "${env:PW}"), ("LANG", "C")];
        let env = env.map(|(k, v)| (k.to_string(), v.to_string())).into();
        let ready = ReadyPlan { by: Ready::default(), within: READY_WITHIN };
        let start = StartPlan::Command(Box::new(CommandPlan {
            command: vec!["x".into()],
            env,
            folder: None,
            files: BTreeMap::new(),
            ready,
            base: PathBuf::new(),
        }));
        let StartPlan::Command(command) = start.redacted() else { panic!("it is a command") };
        let values: Vec<&str> = command.env.values().map(String::as_str).collect();
        assert_eq!(values, ["redacted", "${env:PW}", "C"]);
    }
}
