//! The two texts. Lines that begin with `#- ` are keys that a reader may want: without those two
//! characters and the space they are read (and a test reads them).

use super::recorded::{Recording, literal_path};
use crate::target::LoadUrl;
use anyhow::{Result, anyhow, bail};
use std::net::SocketAddr;
use std::path::Path;

pub const TARGET_SCHEMA: &str = "target.schema.json";
pub const PROFILE_SCHEMA: &str = "profile.schema.json";

pub fn for_url(url: &str) -> Result<(String, String)> {
    let parsed = LoadUrl::parse(url).map_err(|problem| anyhow!("{url}: {problem}"))?;
    let target = format!(
        "\
#:schema ./{TARGET_SCHEMA}
# A target that is only an address: brunt loads it and leaves its processes alone.
# To kill, slow or cut off its servers too, let brunt start them (brunt init -- COMMAND) or attach
# to them: src/docs/services.md tells how.
about = {about}
url = {url}
",
        about = quoted(&parsed.authority),
        url = quoted(url),
    );
    Ok((target, profile(&page(&literal_path(&parsed.path)), "")))
}

/// The target of a recording, its profile, and the variables of the environment that it asks for.
pub fn for_recording(recording: &Recording) -> Result<(String, String, Vec<String>)> {
    let (target, _) = for_url(&recording.origin())?;
    let part = recording.part();
    let variables = part.variables().map(String::from).collect();
    Ok((target, profile(&part.text, ""), variables))
}

pub fn for_command(command: &[String], listen: Option<SocketAddr>) -> Result<(String, String)> {
    let [program, ..] = command else { bail!("the command is empty") };
    let is_told = command.iter().any(|w| w.contains("{port}") || w.contains("{address}"));
    let listen = match (listen, is_told) {
        (Some(address), _) => format!("listen = \"{address}\"\n"),
        (None, true) => String::new(),
        (None, false) => bail!(
            "the command does not say where the server shall listen: write {{port}} or {{address}} \
             where it takes it, or give --listen 127.0.0.1:8080"
        ),
    };
    let role = role(program);
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let target = format!(
        "\
#:schema ./{TARGET_SCHEMA}
# A server of your own, which brunt starts, watches, breaks and starts again.
about = {about}

[public]
entry = [\"{role}\"]               # what visitors reach: a group, or one node of it like \"{role}-1\"

[server.{role}]
count = 1                         # so many servers; with more, put a balancer in front and name it above
cores = 0.5                       # CPU share of each; without it, all of the cores that the target has
restart_after = \"2s\"              # when its process dies by itself

[[server.{role}.node]]
role = \"{role}\"
# {{host}}, {{port}}, {{address}}, {{folder}} and {{threads}} are put in; relative paths begin here.
start = {{ command = [{words}] }}
{listen}\
ready = {{ tcp = true }}            # or {{ http = \"/healthz\" }}: how it shows that it serves
ready_within = \"10s\"
",
        about = quoted(&command.join(" ")),
        words = words.join(", "),
    );
    let fault = format!(
        "
# The one server is killed while visitors are there, and started again two seconds later.
[[fault]]
name = \"kill-server\"
kind = \"kill\"                     # or pause, throttle, power-off, latency, ...: src/docs/profiles.md
on = \"{role}-1\"
at = \"20s\"
lasts = \"2s\"
"
    );
    Ok((target, profile(&page("/"), &fault)))
}

/// One request to begin with, and what else can be said of one.
fn page(path: &str) -> String {
    format!(
        "
[[request]]
name = \"page\"
weight = 1                        # how often, beside the other requests
path = {path}
#- headers = {{ Accept = \"text/html\" }}
#- expect = {{ status = 200 }}      # else it counts as an error; also body_contains, json

# Another request, with a value in it, every fifth time.
#- [[request]]
#- name = \"search\"
#- weight = 0.25
#- path = \"/search?q={{word}}\"
#- [value.word]
#- choice = {{ of = [\"tea\", \"coffee\"] }}
",
        path = quoted(path)
    )
}

/// What visitors ask comes last but for the faults.
fn profile(requests: &str, fault: &str) -> String {
    format!(
        "\
#:schema ./{PROFILE_SCHEMA}
# A situation: what visitors ask, how many come, and what happens meanwhile.
about = \"a first look\"
in_time = \"500ms\"                 # an answer after this is late
timeout = \"5s\"                    # then the visitor gives up
arrivals = \"poisson\"              # visitors come when they come, however slow the answers are
connections_max = 256

[steady]
in_time = 0.9                     # share in time that must hold before the first fault

[[phase]]
name = \"warm-up\"
lasts = \"5s\"
rate = \"10/s\"
measured = false

[[phase]]
name = \"quiet\"
lasts = \"10s\"
rate = \"20/s\"

[[phase]]
name = \"busy\"
lasts = \"15s\"
from = \"20/s\"                     # it rises along a line
rate = \"50/s\"
{requests}{fault}"
    )
}

/// A group's name from a program's.
fn role(program: &str) -> String {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let name = slug(&name);
    if name.is_empty() { "server".into() } else { name }
}

/// Small letters and digits, with a dash in place of whatever stands between them.
pub fn slug(text: &str) -> String {
    let kept = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let parts = kept.collect::<String>().to_ascii_lowercase();
    parts.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

pub fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

/// A text with line ends in it, too, on one line: JSON's escapes are TOML's.
pub fn one_line(text: &str) -> String {
    serde_json::Value::String(text.into()).to_string().replace('\u{7f}', "\\u007f")
}
