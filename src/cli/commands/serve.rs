//! `brunt serve ROLE`

use crate::cli::args::ServeArgs;
use crate::cli::{exit, known, options, signals};
use crate::plan::NodePlan;
use crate::stack;
use crate::target::Role;
use anyhow::{Context, Result, bail};
use std::io::Write;

pub fn run(args: &ServeArgs) -> Result<u8> {
    if args.role == "relay" {
        stack::relay::serve(std::io::stdin())?;
        return Ok(exit::PASS);
    }
    if args.role == "known" {
        stack::known::serve(&known::plan(&args.known, args.listen)?)?;
        return Ok(exit::PASS);
    }
    if args.role == "sink" {
        return sink(args);
    }
    if args.release_at.is_some() || args.hold.is_some() {
        bail!("--release-at and --hold are for the role `sink`");
    }
    let Some(role) = Role::parse(&args.role) else {
        let roles = Role::ALL.map(|r| r.name()).join(", ");
        bail!("there is no role `{}`; there are: {roles}, relay, known, sink", args.role);
    };
    let plan = match args.listen {
        Some(_) => options::node_plan(args, role)?,
        None => {
            let text = std::io::read_to_string(std::io::stdin())
                .context("cannot read a NodePlan from stdin (or use --listen to start by hand)")?;
            serde_json::from_str::<NodePlan>(&text)
                .context("stdin holds no NodePlan (use --listen to start a node by hand)")?
        }
    };
    if plan.role != role {
        bail!("the NodePlan on stdin is for role `{}`", plan.role.name());
    }
    stack::serve(plan)?;
    Ok(exit::PASS)
}

fn sink(args: &ServeArgs) -> Result<u8> {
    let plan = options::sink_plan(args)?;
    let signal = signals::install();
    // Who does not read what is said still gets a sink.
    let mut say = |line: &str| drop(writeln!(std::io::stdout(), "{line}"));
    stack::sink::serve(plan, &signal, &mut say)?;
    Ok(exit::PASS)
}
