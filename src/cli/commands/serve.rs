//! `brunt serve ROLE`

use crate::cli::args::ServeArgs;
use crate::cli::{exit, known, options};
use crate::plan::NodePlan;
use crate::stack;
use crate::target::Role;
use anyhow::{Context, Result, bail};

pub fn run(args: &ServeArgs) -> Result<u8> {
    if args.role == "relay" {
        stack::relay::serve(std::io::stdin())?;
        return Ok(exit::PASS);
    }
    if args.role == "known" {
        stack::known::serve(&known::plan(&args.known, args.listen)?)?;
        return Ok(exit::PASS);
    }
    let Some(role) = Role::parse(&args.role) else {
        let roles: Vec<&str> = Role::ALL.iter().map(|r| r.name()).collect();
        bail!("there is no role `{}`; there are: {}, relay, known", args.role, roles.join(", "));
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
