//! The card's values in words, the same in every format.

use crate::analysis::comparison::{count_text, percent, short, within};
use crate::analysis::drill::{BUDGET_DAYS, ComeBack, Control, Decision, DrillCard, DrillRow};
use crate::analysis::{FaultTrials, Spread};
use crate::fault::FaultKind;
use crate::report::staleness::staleness;

/// What broke comes last: it is as long as it is, and has a line of its own in plain text.
pub const HEAD: [&str; 10] = [
    "drill",
    "noticed",
    "out for",
    "writes",
    "failed",
    "late",
    "would cost",
    "lost",
    "came back",
    "what broke",
];

/// What this cannot tell, wherever it runs.
pub const UNSEEN: &str = "\
Never tested here: another machine, a real network, a real disk's failure, more data than this, and \
people who repair things. Repair times are assumed.";

pub fn cells(row: &DrillRow) -> [String; 10] {
    let none = || "–".to_string();
    if row.skipped.is_some() {
        let broke = format!("not injected: {} on {}", row.broke.how, row.broke.what);
        let mut cells = std::array::from_fn(|_| none());
        (cells[0], cells[9]) = (row.label(), broke);
        return cells;
    }
    let writes = row.out.first_write_after_s.or(row.out.writes_s);
    [
        row.label(),
        row.noticed_after_s.map_or_else(none, seconds),
        out_for(row),
        writes.map_or_else(none, seconds),
        count_text(row.failed_requests),
        count_text(row.late_requests),
        row.lost_minutes.map_or_else(none, minutes),
        row.lost_writes.map_or("?".into(), count_text),
        came_back(row.came_back),
        broke(row),
    ]
}

fn broke(row: &DrillRow) -> String {
    match row.of_30_days {
        Some(share) if share >= 0.0005 => {
            format!("{}; {} of the budget of {BUDGET_DAYS:.0} days", row.broke, percent(share))
        }
        _ => row.broke.to_string(),
    }
}

/// Which of the cells are bad news.
pub fn is_bad(row: &DrillRow) -> [bool; 10] {
    let mut bad = [false; 10];
    bad[7] = row.lost_writes.is_some_and(|n| n > 0);
    bad[8] = row.came_back == ComeBack::Never;
    bad
}

pub fn seconds(s: f64) -> String {
    if s < 1.0 { format!("{} s", short(s)) } else { format!("{s:.1} s") }
}

/// Of nothing at all, at the rate of that time.
fn minutes(m: f64) -> String {
    match m {
        0.0 => "0 min".into(),
        m if m < 0.01 => "< 0.01 min".into(),
        m => format!("{m:.2} min"),
    }
}

fn out_for(row: &DrillRow) -> String {
    match row.out.until_in_time_s {
        Some(0.0) => "not out".into(),
        Some(s) => within(s),
        None => "to the end".into(),
    }
}

fn came_back(how: ComeBack) -> String {
    match how {
        ComeBack::Held => "held".into(),
        ComeBack::BeforeHeal => "before repair".into(),
        ComeBack::AfterHeal { after_s } => format!("{:.0} s after repair", after_s.ceil()),
        ComeBack::Never => "NO".into(),
        ComeBack::NotEnoughTime => "too early to say".into(),
        ComeBack::Unknown => "not known".into(),
    }
}

pub fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Go => "GO",
        Decision::GoWithRisks => "GO WITH RISKS",
        Decision::CannotSay => "CANNOT SAY",
        Decision::NoGo => "NO-GO",
    }
}

/// The page's colours know a run's verdicts.
pub fn verdict_of(decision: Decision) -> &'static str {
    match decision {
        Decision::Go => "pass",
        Decision::GoWithRisks => "inconclusive",
        Decision::CannotSay => "invalid",
        Decision::NoGo => "fail",
    }
}

pub fn reasons(card: &DrillCard) -> Vec<String> {
    let text = |drill: &Option<String>, text: &str| match drill {
        Some(drill) => format!("{drill}: {text}"),
        None => text.to_string(),
    };
    card.reasons.iter().map(|r| text(&r.drill, &r.text)).collect()
}

pub fn control(control: &Control) -> String {
    let share = |s: Option<f64>| s.map_or("–".into(), percent);
    let slow = control.slow_machine.as_ref();
    format!(
        "Without any fault: {} of {} requests in time, {} in the worst two seconds, {} failed{}.",
        share(control.in_time_share),
        count_text(control.requests),
        share(control.worst_share),
        count_text(control.failed_requests),
        slow.map_or(String::new(), |slow| format!("; meanwhile {slow}"))
    )
}

/// How the columns are to be read.
pub fn legend(card: &DrillCard) -> Vec<String> {
    let needed = percent(card.in_time_needed);
    vec![
        format!(
            "Out: from the fault until {needed} were in time for good, in steps of a second. Writes: \
             until the first one was acknowledged by a new leader, or the longest time without any, \
             where that is longer than chance."
        ),
        format!(
            "Would cost: the requests not in time, as minutes in which nobody gets anything; {needed} \
             in time leave {} of them in {BUDGET_DAYS:.0} days, the budget. Lost: acknowledged writes.",
            short(card.budget_minutes)
        ),
    ]
}

/// What was not tested, a line each.
pub fn not_tested(card: &DrillCard) -> Vec<String> {
    let of_drill = card.not_tested.iter().map(|not| {
        let about = not.about.as_ref().map_or(String::new(), |about| format!(" ({about})"));
        let fit = if not.does_not_fit { "does not fit: " } else { "" };
        format!("{}{about}: {fit}{}", not.what, not.why)
    });
    let kinds = match card.kinds_not_tested.len() {
        0 => None,
        n if n == FaultKind::NAMES.len() => Some("any kind of fault".to_string()),
        _ => Some(format!("faults of the kinds {}", card.kinds_not_tested.join(", "))),
    };
    of_drill.chain(kinds).collect()
}

/// The phases of each failover of a database, and how stale reads were: a line each.
pub fn databases(card: &DrillCard) -> Vec<String> {
    let rows = || card.rows.iter().filter(|row| row.skipped.is_none());
    let failovers = rows().filter_map(|row| {
        let phases = failover(row)?;
        Some(format!("{}: {phases}.", row.label()))
    });
    let stale = rows().filter_map(|row| {
        let found = row.staleness.as_ref().and_then(staleness)?;
        Some(format!("{}: {found}.", row.label()))
    });
    failovers.chain(stale).collect()
}

/// None where nobody had to take over and nothing was out.
fn failover(row: &DrillRow) -> Option<String> {
    let phases = row.failover.as_ref()?;
    let at_most = |bound: Option<f64>| {
        bound.map_or(String::new(), |bound| format!(" (at most {})", seconds(bound)))
    };
    let mut parts = Vec::new();
    if let Some(after) = phases.noticed_after_s {
        let by = phases.noticed_by.as_ref().map_or(String::new(), |by| format!(" ({by})"));
        parts.push(format!("noticed after {}{by}", seconds(after)));
    }
    match phases.leader_after_s {
        Some(after) => {
            let bound = at_most(row.election_bound_s);
            parts.push(format!("another led after {}{bound}", seconds(after)));
        }
        None if row.election_bound_s.is_some() => parts.push("no other took the lead".into()),
        None => {}
    }
    let first = |what: &str, after: Option<f64>| {
        after.map(|after| format!("first {what} after {}", seconds(after)))
    };
    parts.extend(first("write", phases.first_write_after_s));
    match first("read", phases.first_read_after_s) {
        Some(read) => parts.push(read),
        None if parts.is_empty() => return None,
        None => parts.push("reads were not out for longer than chance".into()),
    }
    Some(parts.join(", "))
}

/// Where visitors had to ask again.
pub fn repeated(card: &DrillCard) -> Vec<String> {
    let asked = card.rows.iter().filter(|row| row.repeated_requests > 0);
    asked
        .map(|row| {
            let load = row.amplification_after.map_or(String::new(), |times| {
                format!(
                    "; once the fault was gone the load was {times:.2} times that of the visitors"
                )
            });
            format!(
                "{}: visitors asked again {} times{load}. Failed and late count each time.",
                row.label(),
                count_text(row.repeated_requests)
            )
        })
        .collect()
}

/// A line for each figure of a fault's trials that was ever seen.
pub fn trials(t: &FaultTrials) -> Vec<[String; 6]> {
    let figures: [(&str, bool, &Spread); 10] = [
        ("taken out after", true, &t.detected),
        ("new leader after", true, &t.leader),
        ("first write after", true, &t.first_write),
        ("first read after", true, &t.first_read),
        ("longest time without a write", true, &t.write_outage),
        ("longest time without a read", true, &t.read_outage),
        ("in time for good after", true, &t.recovery),
        ("requests failed", false, &t.failed_requests),
        ("requests late", false, &t.late_requests),
        ("writes lost", false, &t.lost_writes),
    ];
    let is_told = |(_, _, spread): &(&str, bool, &Spread)| spread.n > 0;
    figures.into_iter().filter(is_told).map(|(name, is_time, s)| spread(name, is_time, s)).collect()
}

fn spread(name: &str, is_time: bool, s: &Spread) -> [String; 6] {
    let value = |v: Option<f64>| match v {
        Some(v) if is_time => seconds(v),
        Some(v) => short(v),
        None => "never".into(),
    };
    let rare = |n: u64, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
    let never = rare(s.never, "never") + &rare(s.absent, "not seen");
    let interval = s
        .median_interval
        .map_or("–".into(), |i| format!("{} to {}", value(i.low), value(i.high)));
    let of = format!("{}{never}", s.n);
    [name.into(), of, value(s.median), interval, value(s.p95), value(s.max)]
}

pub const TRIALS_HEAD: [&str; 6] =
    ["over all trials", "trials", "median", "95 % interval of it", "p95", "max"];
