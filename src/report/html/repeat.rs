//! What is needed to have a run again: a command, where it is known to be one, and the plan in words.
//! Names of targets and profiles do not say from which file they were read, so a command is given only
//! where the target and the profile inside this binary make the very plan that was run.

use super::tables::target_name;
use crate::analysis::comparison::count_text;
use crate::analysis::{Comparison, Run};
use crate::plan::{self, Plan};
use crate::record::Manifest;
use crate::{profile, target};
use maud::{Markup, html};

pub fn section(runs: &[Run<'_>], c: &Comparison) -> Markup {
    let manifest = &runs[0].record.manifest;
    let plan = &manifest.plan;
    let all: Vec<Option<Command>> = runs.iter().map(|r| Command::of(&r.record.manifest)).collect();
    let commands = typed_commands(&all);
    html! {
        @if !commands.is_empty() {
            p { "With this brunt, on the same machine:" }
            pre.command tabindex="0" { code { (commands.join("\n")) } }
        }
        (unknown(&runs.iter().zip(&all).filter(|(_, c)| c.is_none()).map(|(run, _)| run).collect::<Vec<_>>()))
        dl.facts {
            dt { "seed" } dd { (plan.seed) ", from which the whole schedule of requests and faults follows" }
            dt { "brunt" } dd { (manifest.brunt_version) ", with " (manifest.workers) @if manifest.workers == 1 { " worker" } @else { " workers" } }
            @for machine in &c.header.machines { dt { "machine of" } dd { (machine) } }
            @if c.header.machines.is_empty() {
                dt { "machine" } dd {
                    (plan.host.cores) " cores: " (cores(&plan.host.brunt_cpus)) " for brunt, "
                    (cores(&plan.host.stack_cpus)) " for the target"
                }
            }
            @if plan.host.iterations_per_ms > 0.0 {
                dt { "calibration" } dd {
                    (count_text(plan.host.iterations_per_ms.round() as u64))
                    " iterations of the reference work in a millisecond"
                }
            }
        }
        @for (index, run) in runs.iter().enumerate() {
            details {
                summary { "The plan of " (target_name(index, &c.targets[index])) " in words" }
                pre tabindex="0" { (plan::explain(&run.record.manifest.plan)) }
            }
        }
    }
}

/// The names as names: of which files they are is not in a record.
fn unknown(runs: &[&Run<'_>]) -> Markup {
    html! {
        @if !runs.is_empty() {
            p {
                "No command is known that repeats "
                @for (at, run) in runs.iter().enumerate() {
                    @if at > 0 { ", or " }
                    "the target " b { (run.record.manifest.plan.target) }
                    " under the profile " b { (run.record.manifest.plan.profile) }
                }
                ": this brunt has no such names inside, or they make another plan than was run. The "
                "plan in a record's manifest.json is the whole of it; to run it again takes the files "
                "that these names were read from, or the options of " code { "brunt load" } "."
            }
        }
    }
}

fn cores(list: &[u32]) -> String {
    match list {
        [] => "none of their own".into(),
        [core] => format!("number {core}"),
        list => {
            format!("numbers {}", list.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))
        }
    }
}

/// What was typed for a run, but for where its target stands in it.
#[derive(Debug, PartialEq)]
struct Command {
    target: String,
    options: String,
    /// What only `brunt run` takes.
    of_run: String,
}

impl Command {
    /// `None` where it is not known to make this plan again.
    fn of(manifest: &Manifest) -> Option<Command> {
        let plan = &manifest.plan;
        let target = target::load_bundled(&plan.target)?;
        let profile = profile::load_bundled(&plan.profile)?;
        let made = plan::compile(&target, &profile, plan.seed, &plan.host).ok()?;
        let asked = Plan {
            thresholds: plan.thresholds.clone(),
            abort_on_fail: plan.abort_on_fail,
            ..as_stored(&made)?
        };
        let is_control = asked != *plan;
        if is_control && asked.without_faults() != *plan {
            return None;
        }
        let mut options = format!("-p {} --seed {}", typed(&plan.profile), plan.seed);
        if manifest.workers as usize != plan.host.brunt_cpus.len() {
            options.push_str(&format!(" --threads {}", manifest.workers));
        }
        let mut of_run = String::from(if is_control { " --control" } else { "" });
        for threshold in &plan.thresholds {
            of_run.push_str(&format!(" --threshold {}", typed(threshold)));
        }
        if plan.abort_on_fail {
            of_run.push_str(" --abort-on-fail");
        }
        Some(Command { target: typed(&plan.target), options, of_run })
    }
}

/// As it is read from a record: without credentials, and with what JSON makes of its numbers.
fn as_stored(plan: &Plan) -> Option<Plan> {
    serde_json::from_str(&serde_json::to_string(&plan.redacted()).ok()?).ok()
}

/// One for all where one would do, else one for each run whose command is known.
fn typed_commands(all: &[Option<Command>]) -> Vec<String> {
    if let [Some(first), rest @ ..] = all
        && !rest.is_empty()
        && all
            .iter()
            .all(|c| c.as_ref().is_some_and(|c| c.options == first.options && c.of_run.is_empty()))
    {
        let targets: Vec<&str> = all.iter().flatten().map(|c| c.target.as_str()).collect();
        return vec![format!("brunt compare {} {}", targets.join(" "), first.options)];
    }
    let each = all.iter().flatten();
    each.map(|c| format!("brunt run {} {}{}", c.target, c.options, c.of_run)).collect()
}

/// Quoted where a shell would read more into it.
fn typed(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    match word.chars().all(is_plain) && !word.is_empty() {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, with_trio};

    /// The manifest of a run of what is inside the binary.
    fn manifest(target: &str, profile: &str) -> Manifest {
        let mut manifest = Builder::new("vertical").build().manifest;
        let (target, profile) = (target::load_bundled(target), profile::load_bundled(profile));
        let host = manifest.plan.host.clone();
        let plan = plan::compile(&target.unwrap(), &profile.unwrap(), 7, &host).unwrap();
        manifest.plan = as_stored(&plan).unwrap();
        manifest
    }

    fn commands(of: &[&Manifest]) -> Vec<String> {
        typed_commands(&of.iter().map(|m| Command::of(m)).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_can_be_pasted() {
        let (a, mut b) = (manifest("vertical", "campaign"), manifest("garage", "campaign"));
        assert_eq!(commands(&[&a]), ["brunt run vertical -p campaign --seed 7"]);
        let all = "brunt compare vertical vertical garage -p campaign --seed 7";
        assert_eq!(commands(&[&a, &a, &b]), [all]);
        b.plan.thresholds = vec!["errors: rate<0.01".into()];
        b.plan = b.plan.without_faults();
        b.workers = 2;
        let one = "brunt run garage -p campaign --seed 7 --threads 2 --control --threshold 'errors: rate<0.01'";
        assert_eq!(commands(&[&b]), [one]);
        assert_eq!(commands(&[&a, &b]), ["brunt run vertical -p campaign --seed 7", one]);
        let variant = manifest("horizontal[balancer.algorithm=round-robin]", "campaign");
        let one = "brunt run 'horizontal[balancer.algorithm=round-robin]' -p campaign --seed 7";
        assert_eq!(commands(&[&variant]), [one]);
        assert_eq!(typed("x[a=it's]"), r"'x[a=it'\''s]'");
    }

    /// A capacity's trial, a drill's control run, a file of one's own, a URL.
    #[test]
    fn no_command_is_given_that_would_run_something_else() {
        let changed = |change: fn(&mut Plan)| {
            let mut manifest = manifest("vertical", "campaign");
            change(&mut manifest.plan);
            manifest
        };
        for changed in [
            changed(|plan| plan.load.phases[0].rate_to *= 2.0),
            changed(|plan| plan.faults.truncate(1)),
            changed(|plan| plan.profile = "control".into()),
            changed(|plan| plan.target = "127.0.0.1".into()),
            changed(|plan| plan.servers[0].units += 1.0),
        ] {
            assert_eq!(Command::of(&changed), None);
        }
        with_trio(|c, runs| {
            let text = section(runs, c).into_string();
            assert!(!text.contains("class=\"command\"") && text.contains("No command is known"));
        });
    }
}
