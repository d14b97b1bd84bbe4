//! `brunt run TARGET`

use super::output;
use crate::cli::args::RunArgs;
use crate::cli::{exit, options};
use crate::study;
use crate::{gate, plan, profile, report, target};
use anyhow::Result;

pub fn run(args: &RunArgs) -> Result<u8> {
    let common = &args.common;
    options::check_common(common)?;
    let profile = profile::load(&common.profile)?;
    let target = target::load(&args.target)?;
    let setup = study::prepare(&[&target], Some(&profile))?;
    let mut plan = plan::compile(&target, &profile, common.seed, &setup.facts)?;
    if args.control {
        plan = plan.without_faults();
    }
    options::ask(&mut plan, &args.asked)?;
    if common.dry_run {
        output::say(&plan::explain(&plan))?;
        return Ok(exit::PASS);
    }
    let subject = study::folder_name(&plan.target);
    let folder = options::record_folder(common.out.as_ref(), &subject, &profile.name)?;
    let options = super::run_options(common.threads, common.i_own_these);
    let ran = {
        let mut watcher = super::watcher(common.quiet, false, common.dashboard)?;
        study::run_once(&plan, &setup, &options, &folder, watcher.as_mut())?
    };
    let page = output::write_run(&ran.folder, &ran.record, &ran.summary)?;
    match common.json {
        true => output::say_line(&report::run_json(&ran.summary))?,
        false => output::say(&report::run_text(&ran.record, &ran.summary, Some(&page)))?,
    }
    let code = gate::run_exit_code(&ran.summary, args.asked.allow_inconclusive);
    Ok(super::code_of_end(std::slice::from_ref(&ran)).unwrap_or(code))
}
