//! What may not be said of nodes that are not bundled, and of faults on what brunt attaches to.

use super::check::Wrong;
use super::file::{ServerGroup, Target, TargetNode};
use super::placeholders::{Placeholder, fill};
use super::service::{Attach, Command, Ready, Start};
use crate::base::Nanos;
use std::path::{Component, Path};

/// Faults that leave a process that brunt did not start as it was. It could not bring back one that
/// it killed.
pub const REVERSIBLE: [&str; 3] = ["pause", "throttle", "descriptors"];
/// Names that mean something else where a role is named.
const RESERVED: [&str; 5] = ["visitors", "relay", "server", "brunt", "keeper"];
const ROLE_LENGTH_MAX: usize = 40;
/// A service that needs longer to be ready is not waited for.
const READY_WITHIN_MAX: Nanos = Nanos::from_secs(600);

fn wrong<T>(key: &str, problem: impl Into<String>) -> Result<T, Wrong> {
    Err((key.into(), problem.into()))
}

/// What concerns more than one node.
pub(super) fn target(target: &Target) -> Result<(), Wrong> {
    let attached = |n: &TargetNode| matches!(n.start, Start::Attach(_));
    let has_attached = target.nodes().any(|(.., n)| attached(n));
    if let Some(rules) = &target.attach {
        if !has_attached {
            return wrong(
                "attach.allow",
                "no node of this target is attached to; leave [attach] out",
            );
        }
        if let Some(kind) = rules.allow.iter().find(|kind| !REVERSIBLE.contains(&kind.as_str())) {
            let problem = format!(
                "`{kind}` cannot be allowed: brunt only does to others\' processes what it can undo \
                 ({})",
                REVERSIBLE.join(", ")
            );
            return wrong("attach.allow", problem);
        }
        if rules.max_duration == Nanos::ZERO {
            return wrong("attach.max_duration", "nothing lasts so short; write \"30s\"");
        }
    }
    let mut seen = Vec::new();
    for (name, _, node) in target.nodes() {
        let Some(listen) = node.listen else { continue };
        if seen.contains(&listen) {
            let problem = format!("two nodes listen on {listen}; give each its own address");
            return wrong(&format!("server.{name}.node[0].listen"), problem);
        }
        seen.push(listen);
    }
    Ok(())
}

/// One node, whoever starts it.
pub(super) fn node(target: &Target, group: &ServerGroup, node: &TargetNode) -> Result<(), Wrong> {
    match &node.start {
        Start::Bundled => return bundled(target, node),
        Start::Command(command) => self::command(target, node, command)?,
        Start::Attach(attach) => self::attach(group, node, attach)?,
    }
    if let Some(ready) = &node.ready {
        self::ready(target, node, ready)?;
    }
    if node.ready_within.is_some_and(|w| w == Nanos::ZERO || w > READY_WITHIN_MAX) {
        return wrong("ready_within", "use more than 0s and at most 10m");
    }
    let Some(listen) = node.listen else { return Ok(()) };
    if listen.port() == 0 || listen.ip().is_unspecified() {
        let problem = format!("{listen} cannot be dialled; write the address that visitors dial");
        return wrong("listen", problem);
    }
    match group.count {
        1 => Ok(()),
        n => {
            let problem = format!(
                "{n} servers cannot all listen on {listen}; leave it out, and use {{address}} in the \
                 command"
            );
            wrong("listen", problem)
        }
    }
}

fn bundled(target: &Target, node: &TargetNode) -> Result<(), Wrong> {
    for (key, is_given) in [
        ("ready", node.ready.is_some()),
        ("ready_within", node.ready_within.is_some()),
        ("listen", node.listen.is_some()),
    ] {
        if is_given {
            return wrong(key, "brunt decides this for a bundled node; leave it out");
        }
    }
    let is_service =
        |role: &String| target.nodes().any(|(.., n)| n.role == *role && n.start != Start::Bundled);
    match node.needs.iter().find(|role| is_service(role)) {
        Some(role) => {
            let problem =
                format!("a bundled node cannot talk to `{role}`, which is not of its stack");
            wrong("needs", problem)
        }
        None => Ok(()),
    }
}

pub(super) fn role(role: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let is_sound = role.len() <= ROLE_LENGTH_MAX
        && role.starts_with(|c: char| c.is_ascii_lowercase())
        && role.chars().all(is_plain);
    let is_numbered =
        role.rsplit_once('-').is_some_and(|(_, end)| end.chars().all(|c| c.is_ascii_digit()));
    if !is_sound || is_numbered {
        return Err(format!(
            "`{role}` cannot name a group; use small letters, digits, `-` and `_`, without a number \
             at the end (its nodes are NAME-1, NAME-2, ...)"
        ));
    }
    match RESERVED.contains(&role) {
        true => Err(format!("`{role}` means something else in brunt; use another name")),
        false => Ok(()),
    }
}

fn command(target: &Target, node: &TargetNode, command: &Command) -> Result<(), Wrong> {
    argument_list(target, node, "start", &command.command)?;
    for (name, value) in &command.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return wrong("start", format!("`env`: `{name}` cannot name a variable"));
        }
        text(target, node, value)
            .map_err(|p| ("start".to_string(), format!("`env.{name}`: {p}")))?;
    }
    for name in command.files.keys() {
        let is_inside = |path: &Path| path.components().all(|c| matches!(c, Component::Normal(_)));
        if name.is_empty() || !is_inside(Path::new(name)) {
            let problem = format!(
                "`files`: `{name}` is not inside the node\'s folder; write it like \"conf/nginx.conf\""
            );
            return wrong("start", problem);
        }
    }
    Ok(())
}

fn argument_list(
    target: &Target,
    node: &TargetNode,
    key: &str,
    command: &[String],
) -> Result<(), Wrong> {
    if command.first().is_none_or(String::is_empty) {
        return wrong(key, "the command is empty; write [\"PROGRAM\", \"ARGUMENT\", ...]");
    }
    for argument in command {
        if argument.contains('\0') {
            return wrong(key, "an argument has a byte 0 in it");
        }
        text(target, node, argument).map_err(|problem| (key.to_string(), problem))?;
    }
    Ok(())
}

fn attach(group: &ServerGroup, node: &TargetNode, attach: &Attach) -> Result<(), Wrong> {
    if group.node.len() > 1 || group.count > 1 {
        let problem = "what runs already is a server of its own: one node, and no `count`";
        return wrong("start", problem);
    }
    if group.units.is_some() || group.cores.is_some() {
        let problem = "brunt gives no share of CPU to what it did not start; leave out `units` and \
                       `cores`";
        return wrong("start", problem);
    }
    if !node.needs.is_empty() {
        let problem = "what runs already cannot be told where others are; leave it out";
        return wrong("needs", problem);
    }
    match attach {
        Attach::Port(0) => wrong("start", "nothing listens on port 0; use 1 to 65535"),
        Attach::PidFile(path) | Attach::Cgroup(path) if path.as_os_str().is_empty() => {
            wrong("start", "the path is empty")
        }
        Attach::PidFile(_) | Attach::Cgroup(_) if node.listen.is_none() => {
            wrong("listen", "it is missing; write where visitors reach it, like \"127.0.0.1:8080\"")
        }
        _ => Ok(()),
    }
}

fn ready(target: &Target, node: &TargetNode, ready: &Ready) -> Result<(), Wrong> {
    match ready {
        Ready::Http(path) if !path.starts_with('/') || path.contains([' ', '\r', '\n']) => {
            wrong("ready", format!("`{path}` is not a path; write {{ http = \"/healthz\" }}"))
        }
        Ready::Tcp(false) => wrong("ready", "write { tcp = true }, or another way to be ready"),
        Ready::Resp(command) if command.trim().is_empty() => {
            wrong("ready", "the command is empty; write { resp = \"PING\" }")
        }
        Ready::Command(command) => argument_list(target, node, "ready", command),
        Ready::Http(_) | Ready::Tcp(true) | Ready::Resp(_) => Ok(()),
    }
}

/// Placeholders and references to the environment in one text.
pub(super) fn text(target: &Target, node: &TargetNode, text: &str) -> Result<(), String> {
    let known = |placeholder: &Placeholder| match placeholder {
        Placeholder::Peer(name) => peer(target, node, name),
        _ => Ok(String::new()),
    };
    fill(text, &known)?;
    for (at, _) in text.match_indices("${env:") {
        let name = text[at + 6..].split_once('}').map(|(name, _)| name);
        let is_name =
            |n: &str| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !name.is_some_and(is_name) {
            return Err("a reference to the environment is written ${env:NAME}".into());
        }
    }
    Ok(())
}

fn peer(target: &Target, node: &TargetNode, name: &str) -> Result<String, String> {
    let role = name.rsplit_once('-').map_or(name, |(role, _)| role);
    match (target.has_node(name), node.needs.iter().any(|n| n == role)) {
        (true, true) => Ok(String::new()),
        (true, false) => {
            Err(format!("`{{peer:{name}}}`: add `{role}` to what `{}` needs", node.role))
        }
        (false, _) => Err(format!("`{{peer:{name}}}`: this target has no node `{name}`")),
    }
}
