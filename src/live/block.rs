//! The state of a run as lines for a terminal of a given size, and as one plain line.

use super::heat::heat;
use super::{study, target};
use crate::analysis::comparison::count_text;
use crate::base::Nanos;
use crate::base::bars::drawn;
use crate::record::Outcome;
use crate::run::{Percentiles, Progress, StudyNow};

/// Columns of the progress bar at most; a third of a narrow terminal.
const PROGRESS: usize = 24;
/// From so many columns on, all percentiles are shown.
const WIDE: usize = 64;
/// Lines of the terminal from which the histogram is shown, too.
const TALL: usize = 18;
/// Columns of a bar at most.
const BAR: usize = 40;
/// Between two parts of a line.
const SEPARATOR: &str = " · ";
/// Lines of nodes at most.
const NODE_LINES: usize = 4;
/// Lines of where a study stands at most.
const STUDY_LINES: usize = 2;
/// Lines of causes at most.
const CAUSE_LINES: usize = 3;

/// Columns and lines of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub columns: usize,
    pub lines: usize,
}

/// Never more lines than the terminal has, and none longer. Where there are few, the histogram goes
/// first, then the heat map, then the nodes.
pub(super) fn block(s: &Progress, of: Option<&StudyNow>, size: Size) -> Vec<String> {
    let is_tall = size.lines >= TALL;
    let mut lines = Vec::new();
    if let Some(of) = of.filter(|_| is_tall) {
        push_joined(&mut lines, study::parts(of, s), size.columns, STUDY_LINES);
    }
    lines.push(head(s, size.columns));
    if is_tall {
        lines.extend(target::phases(s, size.columns.saturating_sub(3)).map(|t| format!("  {t}")));
    }
    push_joined(&mut lines, figures(s), size.columns, 2);
    if !s.faults.is_empty() {
        lines.push(format!("  in force: {}", in_force(s)));
    }
    push_joined(&mut lines, s.thresholds.iter().map(target::threshold), size.columns, 2);
    push_times(&mut lines, s, size.columns);
    let after_times = lines.len();
    push_causes(&mut lines, s, size.columns);
    if is_tall {
        lines.push("  Ctrl-C heals, stops and sums up".into());
        let room = (size.lines - 1).saturating_sub(lines.len());
        lines.splice(after_times..after_times, with_room(s, size.columns, room));
    }
    // The cursor stands below the block. One column is left free: some terminals wrap when the
    // last one is written.
    lines.truncate(size.lines.saturating_sub(1).max(1));
    lines.iter().map(|l| l.chars().take(size.columns - 1).collect()).collect()
}

/// What fits into so many lines, as a whole or not at all.
fn with_room(s: &Progress, columns: usize, mut room: usize) -> Vec<String> {
    let mut nodes = Vec::new();
    push_joined(&mut nodes, s.nodes.iter().map(target::node), columns, NODE_LINES);
    let mut bars = Vec::new();
    push_bars(&mut bars, s, columns);
    let mut shown = Vec::new();
    for part in [nodes, heat(&s.heat, columns), bars] {
        if part.len() <= room {
            room -= part.len();
            shown.extend(part);
        }
    }
    shown
}

fn in_force(s: &Progress) -> String {
    s.faults.iter().map(target::fault).collect::<Vec<_>>().join(", ")
}

/// Where there is no room for all of it, the target's name is left out.
fn head(s: &Progress, columns: usize) -> String {
    let rest = format!("{}  {}  {}", bar(s, PROGRESS.min(columns / 3)), s.phase(), left(s));
    let whole = format!("{}  {rest}", s.target);
    if whole.chars().count() < columns { whole } else { rest }
}

/// What is left: by the clock, or by how fast requests have ended so far.
pub(super) fn left(s: &Progress) -> String {
    let Some((ended, most)) = s.requests else {
        return format!("{} left", study::time(s.total.saturating_sub(s.elapsed)));
    };
    let of = format!("{} of {}", count_text(ended), count_text(most));
    if ended == 0 || s.elapsed < Nanos::SECOND {
        return of;
    }
    let left = most.saturating_sub(ended) as f64 / ended as f64 * s.elapsed.as_secs_f64();
    format!("{of}, {} left", study::time(Nanos::from_secs_f64(left)))
}

fn bar(s: &Progress, columns: usize) -> String {
    let full = (s.done() * columns as f64).round() as usize;
    format!("{}{}", "━".repeat(full), "╌".repeat(columns - full))
}

fn figures(s: &Progress) -> Vec<String> {
    let in_time = match s.in_time_share {
        Some(share) => format!("{:.0} % in time", (share * 100.0).floor()),
        None if s.offered_per_s > 0.0 || s.in_flight > 0 => "no answer".into(),
        None => "nothing due yet".into(),
    };
    let rates = format!(
        "{}/s of {}/s",
        count_text(s.completed_per_s as u64),
        count_text(s.offered_per_s as u64)
    );
    let in_flight = format!("{} in flight", count_text(u64::from(s.in_flight)));
    [rates, in_time, in_flight].into_iter().chain(target::nodes_up(s)).collect()
}

/// Response times of the last second and of the run, under each other.
fn push_times(lines: &mut Vec<String>, s: &Progress, columns: usize) {
    if s.last_second == Percentiles::default() && s.so_far == Percentiles::default() {
        return;
    }
    let narrow = |p: &Percentiles| vec![("p50", p.p50), ("p99", p.p99), ("max", p.max)];
    let wide = |p: &Percentiles| {
        [("p50", p.p50), ("p90", p.p90), ("p99", p.p99), ("p99.9", p.p999), ("max", p.max)].to_vec()
    };
    let shown = |p: &Percentiles| if columns >= WIDE { wide(p) } else { narrow(p) };
    let heads: String = shown(&s.so_far).iter().map(|(name, _)| format!("{name:>9}")).collect();
    lines.push(format!("  {:<9}{heads}", "response"));
    for (name, times) in [("last s", &s.last_second), ("so far", &s.so_far)] {
        let cells: String = (shown(times).iter())
            .map(|(_, v)| format!("{:>9}", v.map_or("–".into(), |v| v.to_string())))
            .collect();
        lines.push(format!("  {name:<9}{cells}"));
    }
}

fn push_bars(lines: &mut Vec<String>, s: &Progress, columns: usize) {
    let most = s.bars.iter().map(|b| b.count).max().unwrap_or(0).max(1);
    let room = columns.saturating_sub(2 + 9 + 2 + 14).min(BAR);
    if !s.bars.is_empty() {
        lines.push("  all so far:".into());
    }
    for bar in &s.bars {
        let edge = format!("≤ {}", bar.up_to);
        let drawn = drawn(bar.count as f64 / most as f64, room);
        lines.push(format!("  {edge:>9}  {drawn} {}", count_text(bar.count)));
    }
}

/// How requests ended so far: what was ok first, then the reasons of what was not.
fn push_causes(lines: &mut Vec<String>, s: &Progress, columns: usize) {
    let l = &s.ledger;
    if l.ended() == 0 {
        return;
    }
    let statuses: Vec<_> =
        s.causes.iter().filter(|(outcome, ..)| *outcome == Outcome::Ok).collect();
    let mut parts: Vec<String> =
        statuses.iter().map(|(_, cause, n)| format!("{cause} {}", count_text(*n))).collect();
    if statuses.is_empty() {
        parts.push(format!("ok {}", count_text(l.ok)));
    }
    for (_, cause, n) in s.causes.iter().filter(|(outcome, ..)| *outcome != Outcome::Ok) {
        parts.push(format!("{} {}", cause, count_text(*n)));
    }
    push_joined(lines, parts, columns, CAUSE_LINES);
}

/// Parts beside each other, on at most so many lines.
fn push_joined(
    lines: &mut Vec<String>,
    parts: impl IntoIterator<Item = String>,
    columns: usize,
    most: usize,
) {
    let mut rows: Vec<String> = Vec::new();
    for part in parts {
        let n = part.chars().count() + SEPARATOR.chars().count();
        match rows.last_mut().filter(|row| row.chars().count() + n < columns) {
            Some(row) => row.push_str(&format!("{SEPARATOR}{part}")),
            None => rows.push(format!("  {part}")),
        }
    }
    lines.extend(rows.into_iter().take(most));
}

pub(super) fn plain_line(s: &Progress) -> String {
    let faults = match s.faults.is_empty() {
        true => String::new(),
        false => format!(" · in force: {}", in_force(s)),
    };
    let of = match s.requests {
        Some((ended, most)) => format!("{ended} of {most} requests"),
        None => format!("of {:.0} s", s.total.as_secs_f64()),
    };
    let high = (s.last_second.high()).map_or(String::new(), |(name, v)| format!(" · {name} {v}"));
    let failed = match s.ledger.ended() - s.ledger.ok {
        0 => String::new(),
        n => format!(" · {} not ok so far", count_text(n)),
    };
    format!(
        "{:>6.1} s  {} {} {of}  {}{high}{failed}{faults}",
        s.elapsed.as_secs_f64(),
        s.target,
        s.phase(),
        figures(s).join(SEPARATOR)
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::bars::Bar;
    use crate::record::{Cause, Ledger};
    use crate::run::{FaultNow, NodeNow, SoFar, Standing};

    const WIDE_TALL: Size = Size { columns: 80, lines: 24 };

    pub fn state(seconds: u64) -> Progress {
        let ms = |n| Some(Nanos::from_millis(n));
        let times = Percentiles { p50: ms(12), p90: ms(30), p99: ms(45), p999: None, max: ms(80) };
        Progress {
            target: "horizontal".into(),
            profile: "campaign".into(),
            elapsed: Nanos::from_secs(seconds),
            total: Nanos::from_secs(48),
            requests: None,
            offered_per_s: 200.0,
            completed_per_s: 199.0,
            in_time_share: Some(0.997),
            last_second: times,
            so_far: times,
            bars: vec![
                Bar { up_to: Nanos::from_millis(10), count: 50 },
                Bar { up_to: Nanos::from_millis(20), count: 12_000 },
            ],
            ledger: Ledger { planned: 12_060, ok: 12_050, http_error: 10, ..Ledger::default() },
            causes: vec![(Outcome::HttpError, Cause::Status(503), 10)],
            nodes: vec![
                node("app-1", false, None),
                node("app-2", true, Some(0.414)),
                NodeNow { leads: true, ..node("database-1", true, Some(0.2)) },
            ],
            faults: vec![FaultNow {
                name: "lose-app".into(),
                on: "app-1".into(),
                left: Some(Nanos::from_millis(2_300)),
            }],
            in_flight: 7,
            phases: ["quiet", "peak", "ebb"].map(String::from).to_vec(),
            phase_index: 1,
            heat: vec![[0, 50, 0, 0, 0], [0, 20, 0, 0, 9]],
            thresholds: vec![SoFar {
                expression: "errors: rate<0.01".into(),
                standing: Standing::Held,
                share: 0.0008,
            }],
        }
    }

    fn node(name: &str, is_up: bool, cpu_share: Option<f64>) -> NodeNow {
        NodeNow { name: name.into(), is_up, cpu_share, leads: false }
    }

    #[test]
    fn everything_is_shown_where_there_is_room() {
        let text = block(&state(24), None, WIDE_TALL).join("\n");
        let expected = "\
horizontal  ━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌  peak  24 s left
  quiet → [peak] → ebb
  199/s of 200/s · 99 % in time · 7 in flight · 2/3 nodes up
  in force: lose-app on app-1 for 3 s more
  errors: rate<0.01 held so far (0.08 % broke it)
  response       p50      p90      p99    p99.9      max
  last s     12.0 ms  30.0 ms  45.0 ms        –  80.0 ms
  so far     12.0 ms  30.0 ms  45.0 ms        –  80.0 ms
  app-1 DOWN · app-2 41 % · database-1 leader 20 %
  second by second, the last 2:
   > 1.00 s   ▒
   ≤ 1.00 s
   ≤ 100 ms
  ≤ 10.0 ms  █▓
  all so far:
  ≤ 10.0 ms  ▏ 50
  ≤ 20.0 ms  ████████████████████████████████████████ 12,000
  ok 12,050 · status 503 10
  Ctrl-C heals, stops and sums up";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn what_has_no_room_is_left_out_as_a_whole() {
        let text = |lines| block(&state(24), None, Size { lines, ..WIDE_TALL }).join("\n");
        assert!(text(18).contains("≤ 10.0 ms") && !text(17).contains("→"), "{}", text(18));
        let many = Progress { bars: vec![state(0).bars[0]; 8], ..state(24) };
        let text = block(&many, None, Size { lines: 20, ..WIDE_TALL }).join("\n");
        assert!(text.contains("█▓") && !text.contains("▏ 50") && text.contains("Ctrl-C"), "{text}");
    }

    #[test]
    fn it_fits_every_terminal() {
        for columns in [20, 40, 63, 64, 80, 300] {
            for lines in [1, 2, 5, 18, 60] {
                let study = StudyNow { so_far: vec!["x".repeat(30); 4], ..StudyNow::default() };
                let block = block(&state(24), Some(&study), Size { columns, lines });
                assert!(block.len() <= lines.saturating_sub(1).max(1), "{block:?}");
                assert!(block.iter().all(|l| l.chars().count() < columns), "{block:?}");
            }
        }
        let narrow = block(&state(24), None, Size { columns: 40, lines: 24 }).join("\n");
        assert!(narrow.contains("p99      max") && !narrow.contains("p90"), "{narrow}");
        assert!(narrow.contains("peak  24 s left") && narrow.contains("nodes up"), "{narrow}");
    }

    #[test]
    fn no_answer_is_not_nothing_due_and_requests_are_counted_where_they_end_the_run() {
        let none = Percentiles::default();
        let silent = Progress { in_time_share: None, last_second: none, ..state(2) };
        assert!(figures(&silent).contains(&"no answer".into()), "{:?}", figures(&silent));
        let idle = Progress { offered_per_s: 0.0, in_flight: 0, ..silent };
        assert!(figures(&idle).contains(&"nothing due yet".into()), "{:?}", figures(&idle));
        let counted = Progress { requests: Some((50, 200)), ..state(2) };
        assert!(plain_line(&counted).contains("peak 50 of 200 requests"), "{counted:?}");
        assert!(block(&counted, None, WIDE_TALL)[0].contains("━━━━━━╌╌╌"), "{counted:?}");
        assert!(
            block(&counted, None, WIDE_TALL)[0].ends_with("50 of 200, 6 s left"),
            "{counted:?}"
        );
    }

    #[test]
    fn many_causes_take_few_lines() {
        let causes = (500..560).map(|s| (Outcome::HttpError, Cause::Status(s), 1)).collect();
        let lines = block(&Progress { causes, ..state(2) }, None, Size { columns: 40, lines: 50 });
        let first = lines.iter().position(|l| l.contains("ok 12")).unwrap();
        assert_eq!(lines.len() - first, CAUSE_LINES + 1, "and the hint");
    }
}
