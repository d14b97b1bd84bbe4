//! From a plan to what the keeper is told.

use super::protocol::{LinkSpec, NodeSpec, ServerSpec, Setup};
use super::readiness::Readiness;
use super::service::Service;
use super::{FleetError, Options};
use crate::base::Nanos;
use crate::host::Identity;
use crate::plan::{LinkPlan, NodePlan, Plan, StartPlan};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The process that carries all links with a distance, as node and as server of its own.
pub const RELAY: &str = "relay";

/// Where things of a run are.
pub struct Folders<'a> {
    pub work: &'a Path,
    pub logs: &'a Path,
    pub state: &'a Path,
}

pub fn setup(
    plan: &Plan,
    run: &str,
    folders: &Folders<'_>,
    options: &Options,
) -> Result<Setup, FleetError> {
    let mut nodes = Vec::new();
    let mut servers = Vec::new();
    if let Some(relay) = relay(plan, folders, options) {
        servers.push(ServerSpec {
            name: RELAY.into(),
            cores: None,
            restart_after: Nanos::from_millis(200),
            nodes: vec![RELAY.into()],
            is_attached: false,
        });
        nodes.push(relay);
    }
    for server in &plan.servers {
        servers.push(ServerSpec {
            name: server.name.clone(),
            cores: (!plan.is_attached(server)).then_some(server.cores),
            restart_after: server.restart_after,
            nodes: server.nodes.clone(),
            is_attached: plan.is_attached(server),
        });
    }
    for node in &plan.nodes {
        nodes.push(node_spec(node, folders, options)?);
    }
    Ok(Setup {
        run: run.into(),
        brunt: Identity::own(),
        state_folder: folders.state.to_path_buf(),
        work_folder: folders.work.to_path_buf(),
        brunt_cpus: plan.host.brunt_cpus.clone(),
        stack_cpus: plan.host.stack_cpus.clone(),
        period: plan.host.period,
        without_cgroups: options.without_cgroups,
        owns_these: options.owns_these,
        has_network: plan.needs.network,
        bound: plan.needs.data_folder,
        links: links(plan),
        servers,
        nodes,
    })
}

fn node_spec(
    node: &NodePlan,
    folders: &Folders<'_>,
    options: &Options,
) -> Result<NodeSpec, FleetError> {
    match &node.start {
        StartPlan::Bundled => bundled(node, folders, options),
        StartPlan::Command(command) => Service::new(node, folders)?.command(command, folders),
        StartPlan::Attach(attach) => Service::new(node, folders)?.attach(attach, folders),
    }
}

/// How each node of the user's own is asked whether it is ready.
pub fn readiness(
    plan: &Plan,
    run: &str,
    folders: &Folders<'_>,
) -> Result<BTreeMap<String, Readiness>, FleetError> {
    let mut all = BTreeMap::new();
    for node in &plan.nodes {
        if let Some(ready) = node.start.ready() {
            let readiness = Service::new(node, folders)?.readiness(ready, run)?;
            all.insert(node.name.clone(), readiness);
        }
    }
    Ok(all)
}

fn bundled(
    node: &NodePlan,
    folders: &Folders<'_>,
    options: &Options,
) -> Result<NodeSpec, FleetError> {
    let mut told = node.clone();
    if let Some(folder) = &node.data_folder {
        let folder = absolute(&folders.work.join(folder))?;
        std::fs::create_dir_all(&folder)
            .map_err(|cause| FleetError::Folder { folder: folder.clone(), cause })?;
        told.data_folder = Some(folder);
    }
    let stdin = serde_json::to_string(&told).expect("a plan is plain data");
    spec(&node.name, &node.server, node.role.name(), stdin, folders, options)
}

/// A link's service and its admin side are at one address.
fn links(plan: &Plan) -> Vec<LinkSpec> {
    let spec = |l: &LinkPlan| {
        let (from, to) = (l.from.clone(), l.to.clone());
        LinkSpec { from, to, address: l.dial.ip() }
    };
    let mut all: Vec<LinkSpec> = plan.links.iter().filter(|l| l.is_relayed()).map(spec).collect();
    all.dedup();
    all
}

fn relay(plan: &Plan, folders: &Folders<'_>, options: &Options) -> Option<NodeSpec> {
    let links: Vec<&LinkPlan> = plan.links.iter().filter(|l| l.is_relayed()).collect();
    if links.is_empty() {
        return None;
    }
    let admin = plan.host.relay_admin();
    let stdin =
        serde_json::json!({ "links": links, "admin": admin, "seed": plan.seed }).to_string();
    spec(RELAY, RELAY, RELAY, stdin, folders, options).ok()
}

fn spec(
    name: &str,
    server: &str,
    role: &str,
    stdin: String,
    folders: &Folders<'_>,
    options: &Options,
) -> Result<NodeSpec, FleetError> {
    let (program, arguments) = match &options.stand_in {
        Some((program, arguments)) => (program.clone(), arguments.clone()),
        None => (options.program.clone(), vec!["serve".into(), role.into()]),
    };
    let log = absolute(&folders.logs.join(format!("{name}.log")))?;
    let server = server.to_string();
    Ok(NodeSpec {
        name: name.into(),
        server,
        program,
        arguments,
        stdin,
        log,
        ..NodeSpec::default()
    })
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, FleetError> {
    // The folder of `target.toml` is the empty path, which is this one.
    std::path::absolute(Path::new(".").join(path))
        .map_err(|cause| FleetError::Folder { folder: path.into(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_path_is_the_folder_that_brunt_runs_in() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("")).unwrap(), here);
        assert_eq!(absolute(Path::new("x/y")).unwrap(), here.join("x/y"));
        assert_eq!(absolute(Path::new("/x")).unwrap(), Path::new("/x"));
    }
}
