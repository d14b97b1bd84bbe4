//! A node of the user's own: its folder, its files and its command, with every placeholder filled
//! in. References to the environment stay as they are until the keeper starts it.

use super::FleetError;
use super::protocol::{AttachSpec, NodeKind, NodeSpec};
use super::readiness::Readiness;
use super::setup::{Folders, absolute};
use crate::base::Nanos;
use crate::plan::{AttachPlan, CommandPlan, NodePlan, ReadyPlan};
use crate::target::{Placeholder, Ready, fill};
use std::path::{Path, PathBuf};

/// A node and where its own folder is.
pub struct Service<'a> {
    node: &'a NodePlan,
    folder: PathBuf,
}

impl<'a> Service<'a> {
    pub fn new(node: &'a NodePlan, folders: &Folders<'_>) -> Result<Service<'a>, FleetError> {
        Ok(Service { node, folder: absolute(&folders.work.join(&node.name))? })
    }

    /// Makes its folder and writes its files; what the keeper needs to start it.
    pub fn command(
        &self,
        command: &CommandPlan,
        folders: &Folders<'_>,
    ) -> Result<NodeSpec, FleetError> {
        self.make_folder(&self.data())?;
        for (name, template) in &command.files {
            let path = self.folder.join(name);
            self.make_folder(path.parent().unwrap_or(&self.folder))?;
            std::fs::write(&path, self.fill(template)?)
                .map_err(|cause| FleetError::Folder { folder: path, cause })?;
        }
        let base = absolute(&command.base)?;
        let mut words = self.fill_all(&command.command)?.into_iter();
        let program = words.next().unwrap_or_default();
        let fill = |(name, value): (&String, &String)| Ok((name.clone(), self.fill(value)?));
        Ok(NodeSpec {
            program: program_path(&base, &program),
            arguments: words.collect(),
            env: command.env.iter().map(fill).collect::<Result<_, FleetError>>()?,
            folder: Some(match &command.folder {
                Some(folder) => base.join(folder),
                None => self.folder.clone(),
            }),
            kind: NodeKind::Service,
            ..self.spec(folders)?
        })
    }

    /// What the keeper needs to find it.
    pub fn attach(
        &self,
        attach: &AttachPlan,
        folders: &Folders<'_>,
    ) -> Result<NodeSpec, FleetError> {
        // Without rules no fault is allowed; the plan has refused them all.
        let max_hold = attach.rules.as_ref().map_or(Nanos::ZERO, |rules| rules.max_duration);
        let spec = AttachSpec { to: attach.to.clone(), max_hold };
        Ok(NodeSpec { kind: NodeKind::Attached(spec), ..self.spec(folders)? })
    }

    /// How it is asked whether it is ready.
    pub fn readiness(&self, ready: &ReadyPlan, run: &str) -> Result<Readiness, FleetError> {
        let by = match &ready.by {
            Ready::Command(command) => Ready::Command(self.fill_all(command)?),
            by => by.clone(),
        };
        let (address, within) = (self.node.listen, ready.within.duration());
        Ok(Readiness { address, by, within, run: run.into() })
    }

    fn spec(&self, folders: &Folders<'_>) -> Result<NodeSpec, FleetError> {
        let name = self.node.name.clone();
        Ok(NodeSpec {
            log: absolute(&folders.logs.join(format!("{name}.log")))?,
            name,
            server: self.node.server.clone(),
            ..NodeSpec::default()
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn make_folder(&self, folder: &Path) -> Result<(), FleetError> {
        std::fs::create_dir_all(folder)
            .map_err(|cause| FleetError::Folder { folder: folder.into(), cause })
    }

    fn fill_all(&self, texts: &[String]) -> Result<Vec<String>, FleetError> {
        texts.iter().map(|text| self.fill(text)).collect()
    }

    fn fill(&self, text: &str) -> Result<String, FleetError> {
        let node = self.node;
        let value = |placeholder: &Placeholder| match placeholder {
            Placeholder::Address => Ok(node.listen.to_string()),
            Placeholder::Host => Ok(node.listen.ip().to_string()),
            Placeholder::Port => Ok(node.listen.port().to_string()),
            Placeholder::Folder => Ok(self.folder.display().to_string()),
            Placeholder::Data => Ok(self.data().display().to_string()),
            Placeholder::Threads => Ok(node.threads.to_string()),
            Placeholder::Peer(name) => {
                let peer = node.peer(name).ok_or(format!("it does not need `{name}`"))?;
                Ok(peer.dial.to_string())
            }
        };
        fill(text, &value).map_err(|what| FleetError::Service { node: node.name.clone(), what })
    }
}

/// A program that is written with a `/` is relative to the target's file, any other is looked for
/// in the PATH.
fn program_path(base: &Path, program: &str) -> PathBuf {
    match program.contains('/') {
        true => base.join(program),
        false => program.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_slash_is_beside_the_targets_file() {
        let path = |program| program_path(Path::new("/home/me/targets"), program);
        assert_eq!(path("nginx"), Path::new("nginx"));
        assert_eq!(path("/usr/sbin/nginx"), Path::new("/usr/sbin/nginx"));
        assert_eq!(path("./shop"), Path::new("/home/me/targets/./shop"));
    }
}
