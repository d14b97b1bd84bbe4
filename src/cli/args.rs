//! What is typed. What it means is in `options` and the commands.

use super::load::LoadArgs;
use clap::builder::ArgPredicate;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
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
    /// Judge a stored record again, by thresholds and against baselines; exit code, JUnit, Markdown
    Gate(GateArgs),
    /// All drills that fit a target, a run without faults first, and one go/no-go card
    Drill(DrillArgs),
    /// The highest rate that still meets the objectives, and what to buy for a given audience
    Capacity(super::commands::capacity::CapacityArgs),
    /// Load one URL, without any file
    Load(Box<LoadArgs>),
    /// Say in words what a profile would do to a target; nothing is fired
    Explain(ExplainArgs),
    /// Write a commented target and profile to begin with, for a URL or a command
    Init(super::commands::init::InitArgs),
    /// Print the JSON Schema of a target's or a profile's file, for editors
    Schema(super::commands::schema::SchemaArgs),
    /// Print a script with which a shell completes brunt's words
    Completions(super::commands::completions::CompletionsArgs),
    /// Start a target, print its addresses, hold it until Ctrl-C
    Up(UpArgs),
    /// Analyse a stored record again and write its reports
    Report(ReportArgs),
    /// Undo what a killed brunt left behind
    Heal(HealArgs),
    /// What this machine can do, found out by doing
    Doctor,
    /// Measure brunt's own error against servers of known behaviour
    Selftest(super::commands::selftest::SelfTestArgs),
    /// Run one node of the stack: reads its NodePlan as JSON on stdin, or takes flags by hand
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
pub struct Common {
    /// The situation: a file, or a name in profiles/
    #[arg(
        short,
        long,
        default_value = "campaign",
        default_value_if("gate", ArgPredicate::Equals("true".into()), "gate")
    )]
    pub profile: String,
    /// Say in words what would be done; nothing is fired
    #[arg(long)]
    pub dry_run: bool,
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
    /// Serve the live view as a web page at this address or port, and its numbers for Prometheus at
    /// /metrics
    #[arg(long, value_name = "ADDRESS", value_parser = super::options::dashboard)]
    pub dashboard: Option<SocketAddr>,
    /// Faults may touch other users' processes that the target attaches to
    #[arg(long)]
    pub i_own_these: bool,
    /// Generator threads [default: one a core of brunt's; half of them for a local URL]
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
}

/// What a run is asked to have shown.
#[derive(Debug, Args)]
pub struct Asked {
    /// What must hold, else exit 3: 'response_time: p(99)<200ms', 'errors: rate<0.01',
    /// 'throughput: rate>450' (repeatable)
    #[arg(long, value_name = "EXPR")]
    pub threshold: Vec<String>,
    /// Exit 0 instead of 5 when a threshold can be neither met nor missed
    #[arg(long)]
    pub allow_inconclusive: bool,
    /// End the run, with exit 3, once more requests broke a threshold than may of all that are planned
    #[arg(long, requires = "threshold")]
    pub abort_on_fail: bool,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Targets (names, files, variants like 'horizontal[balancer.algorithm=round-robin]'), or
    /// folders of records [default: garage vertical horizontal]
    pub targets: Vec<String>,
    /// Change one thing at a time, from the garage to the horizontal target
    #[arg(long, conflicts_with = "targets")]
    pub ladder: bool,
    /// Is B worse than A? Interleaved pairs of short runs, and a verdict: exit 3 when it is (profile:
    /// gate, unless -p says another)
    #[arg(long, conflicts_with = "ladder")]
    pub gate: bool,
    /// How long the pairs may take together [default: 5m]
    #[arg(long, value_name = "TIME", requires = "gate")]
    pub budget: Option<String>,
    #[command(flatten)]
    pub wanted: super::commands::verdict::Wanted,
    #[command(flatten)]
    pub published: super::commands::verdict::Published,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct GateArgs {
    /// Folder of a record, or of a `brunt compare A B --gate`
    pub record: PathBuf,
    /// What must hold, besides what the run was asked: 'response_time: p(99)<200ms' (repeatable)
    #[arg(long, value_name = "EXPR")]
    pub threshold: Vec<String>,
    /// Records of earlier runs of the same load, at least five, to compare with (repeatable)
    #[arg(long, value_name = "RECORD", num_args = 1..)]
    pub baseline: Vec<PathBuf>,
    #[command(flatten)]
    pub wanted: super::commands::verdict::Wanted,
    #[command(flatten)]
    pub published: super::commands::verdict::Published,
    /// Print the decision as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// A target: a file, a name in targets/, or a URL
    pub target: String,
    /// The same without its faults: what they need to be there stays
    #[arg(long)]
    pub control: bool,
    #[command(flatten)]
    pub asked: Asked,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct DrillArgs {
    /// A target: a file, or a name in targets/
    pub target: String,
    /// Only these: kill-leader, or any profile with faults [default: every profile drill-*]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Runs of one drill, each with the next seed: median, p95 and highest of each figure
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub trials: u32,
    /// Say in words what would be done; nothing is fired
    #[arg(long)]
    pub dry_run: bool,
    /// All chance comes from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the records go [default: a new folder in reports/]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Attach to processes of other users too
    #[arg(long)]
    pub i_own_these: bool,
    /// Print the card as JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing while it runs
    #[arg(long)]
    pub quiet: bool,
    /// Serve the live view as a web page at this address or port, and its numbers for Prometheus at
    /// /metrics
    #[arg(long, value_name = "ADDRESS", value_parser = super::options::dashboard)]
    pub dashboard: Option<SocketAddr>,
    /// Generator threads [default: one a core of brunt's]
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
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
    /// Folder of a record, or of a comparison, a gate, a search or drills
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
    /// app, balancer, cache, database, cdn, directory, relay, known or sink
    pub role: String,
    /// By hand: where to listen (the admin side is one port above)
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// By hand: a node that it talks to, like app-1=127.0.0.1:8080 (repeatable)
    #[arg(long, value_name = "NAME=ADDRESS")]
    pub peer: Vec<String>,
    /// By hand: its own name [default: the role with -1]
    #[arg(long)]
    pub name: Option<String>,
    /// By hand: where a database keeps its data
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub known: super::known::KnownArgs,
    /// A sink answers when so many requests wait at once
    #[arg(long, value_name = "N")]
    pub release_at: Option<u64>,
    /// A sink answers when the first request has waited so long [default: 120s]
    #[arg(long, value_name = "TIME")]
    pub hold: Option<String>,
}
