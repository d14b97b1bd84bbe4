//! `brunt explain PROFILE`

use super::output;
use crate::cli::args::ExplainArgs;
use crate::cli::exit;
use crate::{plan, profile, study, target};
use anyhow::Result;

pub fn run(args: &ExplainArgs) -> Result<u8> {
    let profile = profile::load(&args.profile)?;
    let target = target::load(&args.target)?;
    let setup = study::prepare(&[&target], Some(&profile))?;
    let plan = plan::compile(&target, &profile, args.seed, &setup.facts)?;
    output::say(&plan::explain(&plan))?;
    Ok(exit::PASS)
}
