//! `brunt init URL|COMMAND`: a commented target and profile to begin with; from a line of curl or a
//! browser's recording too, with its requests.

mod recorded;
mod write;

use super::output;
use crate::cli::exit;
use anyhow::{Context, Result, bail};
use clap::Args;
use recorded::{Recorded, Recording};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct InitArgs {
    /// A URL; the command that starts your server: brunt init -- ./shop --port {port}; a request:
    /// brunt init -- curl 'http://…' -H '…'; or a visit that your browser recorded: visit.har
    #[arg(required = true, trailing_var_arg = true, value_name = "URL|COMMAND|HAR")]
    pub subject: Vec<String>,
    /// Where the command's server listens, when it is not told with {port} or {address}
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Folder for the files [default: this one]
    #[arg(short, long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub out: PathBuf,
}

/// A file's name and its text.
type File = (&'static str, String);

/// What is written, and what is to be said about it.
struct Written {
    files: Vec<File>,
    notes: Vec<String>,
}

pub fn run(args: &InitArgs) -> Result<u8> {
    let Written { files, notes } = written(args)?;
    write_all(&args.out, &files)?;
    let path = |name: &str| args.out.join(name).display().to_string();
    let (target, profile) = (path("target.toml"), path("profile.toml"));
    output::say(&format!(
        "wrote {target} and {profile}, with the schemas that editors check them by\n\
         look first: brunt run {target} -p {profile} --dry-run\n\
         then:       brunt run {target} -p {profile}\n{}",
        notes.iter().map(|note| format!("{note}\n")).collect::<String>()
    ))?;
    Ok(exit::PASS)
}

fn written(args: &InitArgs) -> Result<Written> {
    let words = args.subject.as_slice();
    let recording = match words {
        [path] if path.ends_with(".har") && !path.contains("://") => {
            Some(recorded::har(Path::new(path))?)
        }
        [curl, _, ..] if curl == "curl" => Some(recorded::curl(words)?),
        _ => None,
    };
    let is_url = matches!(words, [url] if url.contains("://"));
    if args.listen.is_some() && (is_url || recording.is_some()) {
        bail!(
            "--listen: is for a command that starts a server; a URL says itself where it listens"
        );
    }
    let (target, profile, notes) = match &recording {
        Some(recording) => {
            let (target, profile, variables) = write::for_recording(recording)?;
            (target, profile, notes(recording, &variables))
        }
        None if is_url => {
            let (target, profile) = write::for_url(&words[0])?;
            (target, profile, Vec::new())
        }
        None => {
            let (target, profile) = write::for_command(&split(words), args.listen)?;
            (target, profile, Vec::new())
        }
    };
    let files = vec![
        ("target.toml", target),
        ("profile.toml", profile),
        (write::TARGET_SCHEMA, crate::target::json_schema()),
        (write::PROFILE_SCHEMA, crate::profile::json_schema()),
    ];
    Ok(Written { files, notes })
}

/// What a recording has that is not in the files.
fn notes(recording: &Recording, variables: &[String]) -> Vec<String> {
    let mut notes: Vec<String> =
        recording.left_out.iter().map(|what| format!("left out:   {what}")).collect();
    if !variables.is_empty() {
        notes.push(format!(
            "headers that look like credentials are in no file; the profile takes them from the \
             environment: {}",
            variables.join(", ")
        ));
    }
    let has_text = |r: &Recorded| r.body.is_some() || r.url.path.contains('?');
    if recording.requests.iter().any(has_text) {
        notes.push(
            "bodies and queries are in the profile as they were recorded, passwords and tokens too: \
             look through them"
                .into(),
        );
    }
    notes
}

/// A command in one pair of quotation marks is taken apart at its spaces.
fn split(words: &[String]) -> Vec<String> {
    match words {
        [line] => line.split_whitespace().map(str::to_string).collect(),
        words => words.to_vec(),
    }
}

/// All or none: nothing that is there already is written over.
fn write_all(folder: &Path, files: &[File]) -> Result<()> {
    if let Some((name, _)) = files.iter().find(|(name, _)| folder.join(name).exists()) {
        bail!("{}: is there already; move it away, or name another --out", name_of(folder, name));
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, text) in files {
        let cannot = || format!("cannot write {}", name_of(folder, name));
        let mut file = std::fs::File::create_new(folder.join(name)).with_context(cannot)?;
        file.write_all(text.as_bytes()).with_context(cannot)?;
    }
    Ok(())
}

fn name_of(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, HostFacts, Plan};
    use crate::{profile, target};

    fn files(args: &InitArgs) -> Result<Vec<File>> {
        written(args).map(|written| written.files)
    }

    fn asked(words: &[&str]) -> InitArgs {
        let subject = words.iter().map(|w| (*w).to_string()).collect();
        InitArgs { subject, listen: None, out: PathBuf::from(".") }
    }

    fn texts(args: &InitArgs) -> (String, String) {
        let files = files(args).unwrap();
        (files[0].1.clone(), files[1].1.clone())
    }

    fn planned(args: &InitArgs) -> Plan {
        let (target, profile) = texts(args);
        let target = target::read("target.toml", &target, &[]).unwrap();
        let profile = profile::read("profile.toml", &profile, &[]).unwrap();
        let facts =
            HostFacts { unit_cores: 0.5, network: (77, 1), port: 18080, ..HostFacts::default() };
        plan::compile(&target, &profile, 1, &facts).unwrap()
    }

    #[test]
    fn what_is_written_for_a_url_plans_and_asks_for_its_path() {
        let plan = planned(&asked(&["http://127.0.0.1:8080/shop?x='1'&y={z}"]));
        assert_eq!(plan.load.requests.len(), 1);
        assert!(plan.faults.is_empty() && plan.nodes.is_empty());
        assert!(plan::explain(&plan).contains("/shop"), "{}", plan::explain(&plan));
    }

    #[test]
    fn what_is_written_for_a_recorded_request_plans_and_says_where_credentials_are_to_be() {
        let args = asked(&[
            "curl",
            "http://127.0.0.1:8080/a{b}?c=1",
            "-H",
            "cookie: s=1",
            "-d",
            "line 1\nsays \"{x}\"",
        ]);
        let (_, profile) = texts(&args);
        assert!(profile.contains("${env:COOKIE}") && !profile.contains("s=1"), "{profile}");
        let (target, without) = (texts(&args).0, profile.replace("${env:COOKIE}", "none"));
        let target = target::read("target.toml", &target, &[]).unwrap();
        let profile = profile::read("profile.toml", &without, &[]).unwrap();
        let facts = HostFacts { network: (77, 1), port: 18080, ..HostFacts::default() };
        let plan = plan::compile(&target, &profile, 1, &facts).unwrap();
        assert_eq!(plan.load.requests[0].path, "/a%7Bb%7D?c=1");
        assert!(written(&args).unwrap().notes[0].ends_with("environment: COOKIE"));
        let listen = InitArgs { listen: Some("127.0.0.1:1".parse().unwrap()), ..args };
        assert!(written(&listen).is_err());
    }

    #[test]
    fn what_is_written_for_a_command_plans_with_a_fault() {
        let plan = planned(&asked(&["python3 -m http.server {port} -b {host}"]));
        let names: Vec<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["python3-1"]);
        assert_eq!(plan.faults.len(), 1);
        let named = InitArgs {
            listen: Some("127.0.0.1:18081".parse().unwrap()),
            ..asked(&["./Shop \"1\".sh", "--x", "it's"])
        };
        assert_eq!(planned(&named).nodes[0].name, "shop-1-sh-1");
    }

    #[test]
    fn the_keys_that_are_only_shown_are_sound_too() {
        for args in [asked(&["http://127.0.0.1:8080/"]), asked(&["./shop {port}"])] {
            let (target, profile) = texts(&args);
            let shown = |text: &str| {
                let keys = text.lines().map(|line| line.strip_prefix("#- ").unwrap_or(line));
                keys.collect::<Vec<_>>().join("\n")
            };
            assert!(profile.contains("\n#- "));
            target::read("target.toml", &shown(&target), &[]).unwrap();
            profile::read("profile.toml", &shown(&profile), &[]).unwrap();
        }
    }

    #[test]
    fn a_server_that_nobody_could_find_is_refused() {
        let error = files(&asked(&["./shop"])).unwrap_err().to_string();
        assert!(error.contains("{port}") && error.contains("--listen"), "{error}");
        let error = files(&asked(&["ftp://127.0.0.1/"])).unwrap_err().to_string();
        assert!(error.contains("http://"), "{error}");
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let args = asked(&["./shop {port}"]);
        write_all(folder.path(), &files(&args).unwrap()).unwrap();
        std::fs::remove_file(folder.path().join("target.toml")).unwrap();
        let error = write_all(folder.path(), &files(&args).unwrap()).unwrap_err().to_string();
        assert!(error.contains("profile.toml") && error.contains("--out"), "{error}");
        assert!(!folder.path().join("target.toml").exists());
    }
}
