//! What is typed. What it means is in `options` and the commands.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// What can this stack bear, and in which shape, while parts of it die?
#[derive(Debug, Parser)]
#[command(name = "brunt", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run several targets under one profile and compare them, or compare stored records
    Compare(CompareArgs),
    /// One run of a target: start, load, chaos, record
    Run(RunArgs),
    /// Load one URL, without any file
    Load(LoadArgs),
    /// Say in words what a profile would do to a target; nothing is fired
    Explain(ExplainArgs),
    /// Start a target, print its addresses, hold it until Ctrl-C
    Up(UpArgs),
    /// Analyse a stored record again and write its reports
    Report(ReportArgs),
    /// Undo what a killed brunt left behind
    Heal(HealArgs),
    /// What this machine can do, found out by doing
    Doctor,
    /// Run one node of the stack: reads its NodePlan as JSON on stdin, or takes flags by hand
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
pub struct Common {
    /// The situation: a file, or a name in profiles/
    #[arg(short, long, default_value = "campaign")]
    pub profile: String,
    /// All chance comes from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the record goes [default: a new folder in reports/]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing while it runs
    #[arg(long)]
    pub quiet: bool,
    /// Generator threads [default: one for each of brunt's cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Targets (names, files, variants like 'horizontal[balancer.algorithm=round-robin]'), or
    /// folders of records [default: garage vertical horizontal]
    pub targets: Vec<String>,
    /// Change one thing at a time, from the garage to the horizontal target
    #[arg(long, conflicts_with = "targets")]
    pub ladder: bool,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// A target: a file, a name in targets/, or a URL
    pub target: String,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A profile: a file, or a name in profiles/
    pub profile: String,
    /// The target that it would be fired at
    #[arg(long, default_value = "horizontal")]
    pub target: String,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct UpArgs {
    /// A target: a file, or a name in targets/
    pub target: String,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder of a record, or of a comparison
    pub record: PathBuf,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct HealArgs {
    /// Only say what would be undone
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// app, balancer, cache, database, cdn, directory, relay, or sink
    pub role: String,
    /// By hand: where to listen (the admin side is one port above)
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// By hand: a node that it talks to, like app-1=127.0.0.1:8080 (repeatable)
    #[arg(long, value_name = "NAME=ADDRESS")]
    pub peer: Vec<String>,
    /// By hand: its own name [default: the role with -1]
    #[arg(long)]
    pub name: Option<String>,
    /// By hand: where a database keeps its data
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A sink answers when so many requests wait at once
    #[arg(long, value_name = "N")]
    pub release_at: Option<u64>,
    /// A sink answers when the first request has waited so long [default: 120s]
    #[arg(long, value_name = "TIME")]
    pub hold: Option<String>,
}

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// http://host:port/path
    pub url: String,
    /// Connections; without --rate, a closed loop keeps all of them busy
    #[arg(short, long, value_name = "N")]
    pub connections: Option<u32>,
    /// How long, like 10s or 2m [default: 10s, or until -n requests]
    #[arg(short, long, visible_short_alias = 'z', value_name = "TIME")]
    pub duration: Option<String>,
    /// End after so many requests, like 1000 or 10k
    #[arg(short = 'n', long, value_name = "N")]
    pub requests: Option<String>,
    /// Open loop: so many requests start, however slow the answers: 500, 500/s, 30/m, 10k
    #[arg(
        short,
        long,
        visible_short_alias = 'R',
        visible_aliases = ["qps", "rps"],
        value_name = "RATE"
    )]
    pub rate: Option<String>,
    /// A stage of an open loop: reach RATE over TIME (repeatable), like 30s:200
    #[arg(short, long, value_name = "TIME:RATE", conflicts_with = "rate")]
    pub stage: Vec<String>,
    /// A header, like 'Accept: text/html' (repeatable)
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// [default: GET, or POST with --data]
    #[arg(short = 'X', long)]
    pub method: Option<String>,
    /// The body; @file reads it from a file
    #[arg(long, value_name = "TEXT|@FILE")]
    pub data: Option<String>,
    /// When independent visitors come: poisson, or constant gaps
    #[arg(long, value_name = "KIND", default_value = "poisson")]
    pub arrivals: String,
    /// Longest wait for an answer, from when it was due
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub timeout: String,
    /// Load before measuring begins
    #[arg(long, value_name = "TIME")]
    pub warmup: Option<String>,
    /// A new connection for each request
    #[arg(long)]
    pub no_keepalive: bool,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Generator threads [default: one for each of brunt's cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
    /// Keep a record in this folder
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing while it runs
    #[arg(long)]
    pub quiet: bool,
}
