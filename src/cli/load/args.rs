//! What is typed after `brunt load`. Short flags mean what they mean in wrk, hey and oha, where
//! those agree; where they do not, `foreign` says what to type.

use crate::cli::args::Asked;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// http://host:port/path or https://…
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
    /// A stage of an open loop: reach RATE over TIME (repeatable), like 30s:200; 0s:200 jumps there
    #[arg(short, long, value_name = "TIME:RATE", conflicts_with = "rate")]
    pub stage: Vec<String>,
    /// Closed loop: each connection rests so long after an answer
    #[arg(long, value_name = "TIME")]
    pub think: Option<String>,
    /// When independent visitors come: poisson, or constant gaps
    #[arg(long, value_name = "KIND", default_value = "poisson")]
    pub arrivals: String,
    /// Longest wait for an answer, from when it was due
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub timeout: String,
    /// Load before measuring begins
    #[arg(long, value_name = "TIME")]
    pub warmup: Option<String>,
    #[command(flatten, next_help_heading = "The request")]
    pub request: RequestArgs,
    #[command(flatten, next_help_heading = "What must hold")]
    pub expect: ExpectArgs,
    #[command(flatten, next_help_heading = "What must hold")]
    pub asked: Asked,
    #[command(flatten, next_help_heading = "The network")]
    pub network: NetworkArgs,
    #[command(flatten, next_help_heading = "TLS and HTTP/2")]
    pub secure: SecureArgs,
    #[command(flatten, next_help_heading = "The run")]
    pub run: RunningArgs,
    #[command(flatten)]
    pub always: AlwaysArgs,
}

#[derive(Debug, Args)]
pub struct RequestArgs {
    /// A header, like 'Accept: text/html' (repeatable)
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// [default: GET, or POST with --data]
    #[arg(short = 'X', long, visible_short_alias = 'm', value_name = "METHOD")]
    pub method: Option<String>,
    /// The body; @file reads it from a file
    #[arg(long, visible_alias = "body", value_name = "TEXT|@FILE")]
    pub data: Option<String>,
    /// The same as -H 'Accept: TYPE'
    #[arg(short = 'A', long, value_name = "TYPE")]
    pub accept: Option<String>,
    /// The same as -H 'Content-Type: TYPE'
    #[arg(short = 'T', long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// The same as -H 'Host: NAME'; to connect elsewhere, see --connect-to
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Basic authentication
    #[arg(short = 'a', long, visible_alias = "user", value_name = "USER:PASSWORD")]
    pub basic_auth: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExpectArgs {
    /// Statuses that are ok, like 200, 2xx or 200-204,304 [default: 200-399]
    #[arg(long, value_name = "STATUS")]
    pub expect_status: Option<String>,
    /// Text that the body must contain (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub expect_body: Vec<String>,
    /// A JSON pointer that must be in the body, and its value, like /user/id=7 (repeatable)
    #[arg(long, value_name = "POINTER[=VALUE]")]
    pub expect_json: Vec<String>,
}

#[derive(Debug, Args)]
pub struct NetworkArgs {
    /// Longest wait for a connection [default: only --timeout counts]
    #[arg(long, value_name = "TIME")]
    pub connect_timeout: Option<String>,
    /// A new connection for each request
    #[arg(long, visible_alias = "disable-keepalive")]
    pub no_keepalive: bool,
    /// A new connection after so many requests
    #[arg(long, visible_alias = "reuse", value_name = "N", conflicts_with = "no_keepalive")]
    pub requests_per_connection: Option<String>,
    /// Connect to HOST2:PORT2 where the URL says HOST1:PORT1, as curl does; either may be left
    /// empty (repeatable)
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    pub connect_to: Vec<String>,
    /// The address of a name, as in curl (repeatable)
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    pub resolve: Vec<String>,
    /// Local addresses to connect from, in turn: one, a CIDR or A-B (repeatable)
    #[arg(long, value_name = "ADDRESS|CIDR|A-B")]
    pub source: Vec<String>,
}

#[derive(Debug, Args)]
pub struct SecureArgs {
    /// Take any certificate
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// PEM of the authorities to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// PEM of a client certificate
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM of its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Let later handshakes resume earlier sessions: cheaper than what a new visitor costs
    #[arg(long)]
    pub tls_resumption: bool,
    /// HTTP/2: by ALPN over https, by prior knowledge over http
    #[arg(long)]
    pub http2: bool,
    /// HTTP/2 requests at once on a connection [default: 1 in a closed loop, 100 in an open one]
    #[arg(long, value_name = "N", requires = "http2")]
    pub streams: Option<u32>,
}

#[derive(Debug, Args)]
pub struct RunningArgs {
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Generator threads [default: one a core of brunt's; half of them for a local URL]
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
    /// Serve the live view as a web page at this address or port, and its numbers for Prometheus at
    /// /metrics
    #[arg(long, value_name = "ADDRESS", value_parser = crate::cli::options::dashboard)]
    pub dashboard: Option<SocketAddr>,
    /// Plain lines while it runs, also on a terminal
    #[arg(long)]
    pub no_tui: bool,
}

/// What other tools have to be asked for and brunt does in any case: taken, and without effect.
#[derive(Debug, Args)]
pub struct AlwaysArgs {
    /// wrk, bombardier: percentiles are always printed
    #[arg(long, short = 'L', short_alias = 'l', alias = "latencies", hide = true)]
    latency: bool,
    /// hey, oha: an answer is taken as it comes, and no compression is asked for
    #[arg(long, hide = true)]
    disable_compression: bool,
    /// hey, oha: a redirect is an answer
    #[arg(long, hide = true)]
    disable_redirects: bool,
}
