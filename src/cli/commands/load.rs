//! `brunt load URL`

use super::output;
use crate::cli::load::{LoadArgs, load_plan};
use crate::cli::options;
use crate::study;
use crate::{gate, report};
use anyhow::Result;
use std::path::Path;

pub fn run(args: &LoadArgs) -> Result<u8> {
    let setup = study::prepare_for_service()?;
    let mut plan = load_plan(args, &setup.facts)?;
    options::ask(&mut plan, &args.asked)?;
    // A record is written in any case; without --out it lives in a temporary folder.
    let folder = match &args.run.out {
        Some(_) => options::record_folder(args.run.out.as_ref(), "", "")?,
        None => std::env::temp_dir().join(format!("brunt-load-{}", std::process::id())),
    };
    let is_new = !folder.exists();
    let options = super::run_options(args.run.threads, false);
    let ran = {
        let mut watcher = super::watcher(args.run.quiet, args.run.no_tui, args.run.dashboard)?;
        study::run_once(&plan, &setup, &options, &folder, watcher.as_mut())
    };
    let is_useless = ran.is_err() && is_new && !has_load(&folder);
    if args.run.out.is_none() || is_useless {
        let _ = std::fs::remove_dir_all(&folder);
    }
    let ran = ran?;
    let page = match args.run.out {
        Some(_) => Some(output::write_run(&ran.folder, &ran.record, &ran.summary)?),
        None => None,
    };
    match args.run.json {
        true => output::say_line(&report::run_json(&ran.summary))?,
        false => output::say(&report::run_text(&ran.record, &ran.summary, page.as_deref()))?,
    }
    let code = gate::run_exit_code(&ran.summary, args.asked.allow_inconclusive);
    Ok(super::code_of_end(std::slice::from_ref(&ran)).unwrap_or(code))
}

/// Whether a record holds at least one second of load; then it is kept whatever went wrong.
fn has_load(folder: &Path) -> bool {
    let series = std::fs::read_to_string(folder.join("series.csv"));
    series.is_ok_and(|text| text.lines().nth(1).is_some())
}
