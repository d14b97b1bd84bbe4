//! What a group of nodes must have for a fault: a fault that needs what they lack is refused by name.

use super::node::NodePlan;
use super::start::StartPlan;
use super::topology::Topology;
use crate::base::Nanos;
use crate::base::units::duration_text;
use crate::fault::{FaultKind, Need, Selector};
use crate::target::{REVERSIBLE, Role};

/// The key that does not fit and why.
type Unfit = (&'static str, String);

pub(super) fn check(
    kind: &FaultKind,
    on: &Selector,
    lasts: Nanos,
    topology: &Topology,
) -> Result<(), Unfit> {
    if kind.need() == Need::Namespace
        && let Some(node) = topology.nodes.iter().find(|n| matches!(n.start, StartPlan::Attach(_)))
    {
        let problem = format!(
            "`{}` is done in a network of the run's own, in which {}, which runs already, is not; use a \
             fault of the proxy, like latency or stall",
            kind.name(),
            node.name
        );
        return Err(("kind", problem));
    }
    for node in selected(on, topology) {
        check_program(kind, node)?;
        if let StartPlan::Attach(_) = node.start {
            check_attached(kind, node, lasts)?;
        }
    }
    Ok(())
}

/// Every node that may be hit, whoever leads when the fault fires.
fn selected<'a>(on: &Selector, topology: &'a Topology) -> Vec<&'a NodePlan> {
    let nodes = || topology.nodes.iter();
    match on {
        Selector::Node(name) => nodes().filter(|n| n.name == *name).collect(),
        Selector::ServerOf(name) => {
            let server = nodes().find(|n| n.name == *name).map(|n| &n.server);
            nodes().filter(|n| Some(&n.server) == server).collect()
        }
        Selector::Role(role)
        | Selector::Share(role, _)
        | Selector::Leader(role)
        | Selector::Replica(role) => nodes().filter(|n| n.role.name() == role).collect(),
        // What is done to a link is done in brunt's own proxy.
        Selector::Link(..) | Selector::Visitors(_) => Vec::new(),
    }
}

/// Some faults are done by the program itself, on request.
fn check_program(kind: &FaultKind, node: &NodePlan) -> Result<(), Unfit> {
    let by_itself = matches!(
        kind,
        FaultKind::HttpErrors { .. }
            | FaultKind::HttpDelay { .. }
            | FaultKind::HttpWrongLength { .. }
            | FaultKind::SlowSync { .. }
    );
    match kind {
        _ if by_itself && !node.start.is_bundled() => Err((
            "kind",
            format!(
                "`{}` is done by a bundled node to itself, and {} is not one; use a fault on its \
                 links, like on = \"visitors->{}\"",
                kind.name(),
                node.name,
                node.role.name()
            ),
        )),
        FaultKind::SlowSync { .. } if node.role != Role::Database => {
            Err(("on", format!("{} keeps nothing on disk; name the database", node.name)))
        }
        _ => Ok(()),
    }
}

/// What brunt did not start it only touches as far as it can undo it and the target allows.
fn check_attached(kind: &FaultKind, node: &NodePlan, lasts: Nanos) -> Result<(), Unfit> {
    let StartPlan::Attach(attach) = &node.start else { return Ok(()) };
    if !REVERSIBLE.contains(&kind.name()) {
        let problem = format!(
            "brunt did not start {} and could not bring it back from `{}`; it only does to it what it \
             can undo ({})",
            node.name,
            kind.name(),
            REVERSIBLE.join(", ")
        );
        return Err(("kind", problem));
    }
    let rules = attach.rules.as_ref();
    let Some(rules) = rules.filter(|r| r.allow.iter().any(|k| k == kind.name())) else {
        let problem = format!(
            "the target does not allow it on {}: add to it\n  [attach]\n  allow = [\"{}\"]\n  \
             max_duration = \"30s\"",
            node.name,
            kind.name()
        );
        return Err(("kind", problem));
    };
    match lasts > rules.max_duration {
        true => Err((
            "lasts",
            format!(
                "{} is longer than the {} that the target allows on {} ([attach] max_duration)",
                duration_text(lasts),
                duration_text(rules.max_duration),
                node.name
            ),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Nanos;
    use crate::plan::{HostFacts, Plan, PlanError, StartPlan, compile};
    use crate::profile::Profile;
    use crate::target::{Role, Target};

    const SHOP: &str = r#"
public = { entry = ["shop"] }
[attach]
allow = ["pause"]
max_duration = "2s"
[server.shop]
[[server.shop.node]]
role = "shop"
start = { attach = { port = 8080 } }
"#;

    fn facts() -> HostFacts {
        HostFacts {
            stack_cpus: vec![1, 2],
            unit_cores: 0.5,
            period: Nanos::from_millis(20),
            network: (77, 1),
            port: 17_170,
            ..HostFacts::default()
        }
    }

    fn profile(fault: &str) -> Profile {
        let text = format!(
            "in_time = \"1s\"\n[[phase]]\nname = \"p\"\nlasts = \"9s\"\nrate = \"9/s\"\n\
             [[request]]\nname = \"r\"\nweight = 1\npath = \"/\"\n[[fault]]\nname = \"f\"\nat = \
             \"1s\"\n{fault}\n"
        );
        crate::profile::read("p.toml", &text, &[]).unwrap()
    }

    fn plan(target: &Target, fault: &str) -> Result<Plan, PlanError> {
        compile(target, &profile(fault), 1, &facts())
    }

    fn refusal(target: &Target, fault: &str) -> String {
        plan(target, fault).unwrap_err().to_string()
    }

    #[test]
    fn services_are_laid_out_by_who_needs_whom() {
        let target = crate::target::load("web-two").unwrap();
        let plan = plan(&target, "kind = \"kill\"\non = \"nginx-1\"\nlasts = \"1s\"").unwrap();
        let names: Vec<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["nginx-1", "nginx-2", "haproxy-1"]);
        assert_eq!(plan.servers.iter().map(|s| s.cores).collect::<Vec<_>>(), [0.5, 0.5, 0.25]);
        assert_eq!(plan.nodes[2].peers.len(), 2);
        assert_eq!(plan.nodes[2].role, Role::service("haproxy"));
        let StartPlan::Command(command) = &plan.nodes[0].start else { panic!("it is a command") };
        assert!(command.files["nginx.conf"].contains("listen {address};"));
        let text = serde_json::to_string(&plan).unwrap();
        let back: Plan = serde_json::from_str(&text).unwrap();
        assert_eq!(back.nodes[1].listen, plan.nodes[1].listen);
    }

    #[test]
    fn what_a_group_lacks_is_refused_by_name() {
        let target = crate::target::load("web-two").unwrap();
        let error = refusal(&target, "kind = \"kill\"\non = \"nginx/leader\"\nlasts = \"1s\"");
        assert!(error.contains("leader of `nginx`"), "{error}");
        let fault = "kind = \"http-errors\"\nshare = 0.5\non = \"nginx-2\"\nlasts = \"1s\"";
        let error = refusal(&target, fault);
        assert!(error.contains("fault.f.kind") && error.contains("visitors->nginx"), "{error}");
    }

    #[test]
    fn a_folder_in_memory_has_no_slow_disk() {
        let target = crate::target::load("horizontal").unwrap();
        let slow = "kind = \"disk-slow\"\nrate = \"1MiB\"\non = \"database-1\"\nlasts = \"1s\"";
        plan(&target, slow).unwrap();
        let full = "[[fault]]\nname = \"g\"\nat = \"3s\"\nkind = \"disk-full\"\nlasts = \"1s\"\n\
                    on = \"database\"";
        let error = refusal(&target, &format!("{slow}\n{full}"));
        assert!(error.contains("fault.f.kind") && error.contains("fault `g` fills"), "{error}");
    }

    #[test]
    fn on_what_is_attached_only_what_is_allowed() {
        let target = crate::target::read("shop.toml", SHOP, &[]).unwrap();
        for (fault, says) in [
            ("kind = \"kill\"\non = \"shop-1\"\nlasts = \"1s\"", "could not bring it back"),
            ("kind = \"power-off\"\non = \"server:shop-1\"\nlasts = \"1s\"", "bring it back"),
            ("kind = \"throttle\"\nto = 0.5\non = \"shop\"\nlasts = \"1s\"", "does not allow"),
            ("kind = \"pause\"\non = \"shop\"\nlasts = \"3s\"", "longer than the 2s"),
            (
                "kind = \"loss\"\nshare = 0.1\non = \"visitors->shop\"\nlasts = \"1s\"",
                "which runs already, is not",
            ),
        ] {
            let error = refusal(&target, fault);
            assert!(error.contains(says), "{fault}: {error}");
        }
        let plan = plan(&target, "kind = \"pause\"\non = \"shop\"\nlasts = \"2s\"").unwrap();
        assert_eq!(plan.nodes[0].listen, "127.0.0.1:8080".parse().unwrap());
        assert!(plan.is_attached(&plan.servers[0]));
    }
}
