//! The templates that a target names, relative to its own file.

use super::file::{Target, TargetError};
use super::service::{Start, Template};
use super::service_check;
use std::io;
use std::path::Path;

/// A larger template is a mistake.
const TEMPLATE_MAX: usize = 1 << 20;

impl Target {
    /// Reads and checks each template with `read`; `base` is what relative paths are relative to,
    /// `place` says where a key is written.
    pub(super) fn read_files(
        &mut self,
        base: &Path,
        read: &dyn Fn(&str) -> io::Result<String>,
        place: &dyn Fn(&str) -> String,
    ) -> Result<(), TargetError> {
        for (group, server) in &mut self.server {
            for (index, node) in server.node.iter_mut().enumerate() {
                let Start::Command(command) = &mut node.start else { continue };
                command.base = base.to_path_buf();
                for template in command.files.values_mut() {
                    template.text = text_of(template, read).map_err(|problem| {
                        let key = format!("server.{group}.node[{index}].start");
                        TargetError::Impossible { file: place(&key), key, problem }
                    })?;
                }
            }
        }
        self.check_templates(base)
    }

    fn check_templates(&self, base: &Path) -> Result<(), TargetError> {
        for (.., node) in self.nodes() {
            let Start::Command(command) = &node.start else { continue };
            for template in command.files.values() {
                for (index, line) in template.text.lines().enumerate() {
                    service_check::text(self, node, line).map_err(|problem| {
                        let file = base.join(&template.from);
                        TargetError::Template { file, line: index + 1, problem }
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn text_of(
    template: &Template,
    read: &dyn Fn(&str) -> io::Result<String>,
) -> Result<String, String> {
    let text = read(&template.from).map_err(|e| {
        format!("`files`: cannot read `{}`, beside the target's file: {e}", template.from)
    })?;
    match text.len() {
        n if n > TEMPLATE_MAX => Err(format!("`files`: `{}` is over 1 MiB", template.from)),
        _ => Ok(text),
    }
}
