//! `brunt schema target|profile`

use super::output;
use crate::cli::exit;
use crate::{profile, target};
use anyhow::Result;
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which kind of file
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    Target,
    Profile,
}

pub fn run(args: &SchemaArgs) -> Result<u8> {
    let schema = match args.kind {
        Kind::Target => target::json_schema(),
        Kind::Profile => profile::json_schema(),
    };
    output::say(&schema)?;
    Ok(exit::PASS)
}
