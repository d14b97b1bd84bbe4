//! Floor 8: what is shown while a run goes on. Reads cheap values that the conductor hands it, and
//! writes to standard error; never part of a measurement.
//!
//! On a terminal: one block of at most three lines that rewrites itself. Elsewhere: a plain line
//! every five seconds, and one for every event.

use crate::base::Nanos;
use crate::run::{Progress, Watcher};
use std::io::Write;

/// Between two plain lines where the output is not a terminal.
const PLAIN_EVERY: Nanos = Nanos::from_secs(5);
/// Where the terminal does not tell its width.
const WIDTH: usize = 80;
/// Columns of the progress bar at most; a third of a narrow terminal.
const BAR: usize = 24;

pub struct Live<W: Write> {
    out: W,
    is_terminal: bool,
    width: usize,
    /// Lines of the block that stands on the screen.
    drawn: usize,
    last_plain: Option<Nanos>,
    last: Option<Progress>,
}

impl Live<std::io::Stderr> {
    /// On standard error, as a terminal or not, whichever it is.
    pub fn stderr() -> Self {
        use std::io::IsTerminal;
        let err = std::io::stderr();
        let is_terminal = err.is_terminal();
        let width = rustix::termios::tcgetwinsize(&err).map_or(0, |size| size.ws_col);
        let mut live = Live::new(is_terminal, err);
        if width > 0 {
            live.set_width(usize::from(width));
        }
        live
    }
}

/// A view that cannot be written to must not end a run: errors of the writer are let go.
impl<W: Write> Live<W> {
    pub fn new(is_terminal: bool, out: W) -> Self {
        Live { out, is_terminal, width: WIDTH, drawn: 0, last_plain: None, last: None }
    }

    /// Columns of the terminal.
    pub fn set_width(&mut self, columns: usize) {
        self.width = columns.max(20);
    }

    pub fn update(&mut self, state: &Progress) {
        if self.is_terminal {
            self.erase();
            self.draw(state);
        } else if self.last_plain.is_none_or(|at| state.elapsed >= at + PLAIN_EVERY) {
            self.last_plain = Some(state.elapsed);
            let _ = writeln!(self.out, "{}", plain_line(state));
        }
        self.last = Some(state.clone());
        let _ = self.out.flush();
    }

    /// A line that stays: a fault, a new leader, a warning.
    pub fn note(&mut self, at: Nanos, text: &str) {
        self.erase();
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(self.out, "{:>6.1} s  {clean}", at.as_secs_f64());
        if let (true, Some(state)) = (self.is_terminal, self.last.clone()) {
            self.draw(&state);
        }
        let _ = self.out.flush();
    }

    /// Takes the block off the screen; what follows starts at the left.
    pub fn finish(&mut self) {
        self.erase();
        self.last = None;
        let _ = self.out.flush();
    }

    fn draw(&mut self, state: &Progress) {
        let lines = block(state, self.width);
        // One column is left free: some terminals wrap when the last one is written.
        let cut = |line: &str| line.chars().take(self.width - 1).collect::<String>();
        let text: Vec<String> = lines.iter().map(|l| cut(l)).collect();
        let _ = write!(self.out, "{}", text.join("\n"));
        self.drawn = text.len();
    }

    /// Back to the start of the block, and everything from there on removed.
    fn erase(&mut self) {
        if self.drawn == 0 {
            return;
        }
        let up = match self.drawn - 1 {
            0 => String::new(),
            n => format!("\x1b[{n}A"),
        };
        let _ = write!(self.out, "\r{up}\x1b[J");
        self.drawn = 0;
    }
}

impl<W: Write> Drop for Live<W> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<W: Write> Watcher for Live<W> {
    fn progress(&mut self, progress: &Progress) {
        self.update(progress);
    }

    fn note(&mut self, at: Nanos, text: &str) {
        Live::note(self, at, text);
    }
}

fn block(s: &Progress, width: usize) -> Vec<String> {
    let left = match s.requests {
        Some((ended, most)) => format!("{ended} of {most} requests"),
        None => format!("{:.0} s left", s.total.saturating_sub(s.elapsed).as_secs_f64().ceil()),
    };
    let mut lines = vec![
        format!("{}  {}  {}  {left}", s.target, bar(s, BAR.min(width / 3)), s.phase),
        format!("  {}", figures(s)),
    ];
    if !s.faults_in_force.is_empty() {
        lines.push(format!("  in force: {}", s.faults_in_force.join(", ")));
    }
    lines
}

fn bar(s: &Progress, columns: usize) -> String {
    let (done, all) = s.requests.unwrap_or((s.elapsed.0, s.total.0));
    let share = done as f64 / all.max(1) as f64;
    let full = ((share.clamp(0.0, 1.0) * columns as f64).round() as usize).min(columns);
    format!("{}{}", "━".repeat(full), "╌".repeat(columns - full))
}

fn figures(s: &Progress) -> String {
    let in_time = match s.in_time_share {
        Some(share) => format!("{:.0} % in time", (share * 100.0).floor()),
        None if s.offered_per_s > 0.0 || s.in_flight > 0 => "no answer".into(),
        None => "nothing due yet".into(),
    };
    let p99 = s.p99.map_or(String::new(), |p| format!(" · p99 {p}"));
    let nodes = match s.nodes_total {
        0 => String::new(),
        total => format!(" · {}/{total} nodes up", s.nodes_up),
    };
    format!(
        "{:.0}/s of {:.0}/s · {in_time}{p99} · {} in flight{nodes}",
        s.completed_per_s, s.offered_per_s, s.in_flight
    )
}

fn plain_line(s: &Progress) -> String {
    let faults = match s.faults_in_force.is_empty() {
        true => String::new(),
        false => format!(" · in force: {}", s.faults_in_force.join(", ")),
    };
    let of = match s.requests {
        Some((ended, most)) => format!("{ended} of {most} requests"),
        None => format!("of {:.0} s", s.total.as_secs_f64()),
    };
    format!(
        "{:>6.1} s  {} {} {of}  {}{faults}",
        s.elapsed.as_secs_f64(),
        s.target,
        s.phase,
        figures(s)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(seconds: u64) -> Progress {
        Progress {
            target: "horizontal".into(),
            profile: "campaign".into(),
            phase: "peak".into(),
            elapsed: Nanos::from_secs(seconds),
            total: Nanos::from_secs(48),
            requests: None,
            offered_per_s: 200.0,
            completed_per_s: 199.0,
            in_time_share: Some(0.997),
            p99: Some(Nanos::from_millis(45)),
            nodes_up: 10,
            nodes_total: 11,
            faults_in_force: vec!["lose-app on app-1".into()],
            in_flight: 7,
        }
    }

    fn shown(is_terminal: bool, see: impl FnOnce(&mut Live<&mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        see(&mut Live::new(is_terminal, &mut bytes));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn without_a_terminal_there_is_a_line_every_five_seconds_and_one_per_event() {
        let text = shown(false, |live| {
            for second in 0..11 {
                live.update(&state(second));
            }
            live.note(Nanos::from_millis(9_700), "app-1 fell silent");
            live.finish();
        });
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(!text.contains('\x1b'));
        assert_eq!(
            text.lines().nth(1).unwrap(),
            "   5.0 s  horizontal peak of 48 s  199/s of 200/s · 99 % in time · p99 45.0 ms · 7 in flight · 10/11 nodes up · in force: lose-app on app-1"
        );
        assert!(text.ends_with("   9.7 s  app-1 fell silent\n"), "{text}");
    }

    #[test]
    fn on_a_terminal_the_block_rewrites_itself_and_fits() {
        let text = shown(true, |live| {
            live.set_width(40);
            live.update(&state(24));
            live.update(&state(25));
            live.note(Nanos::ZERO, "a new\x1b[2J leader");
            live.finish();
        });
        let plain = text.replace("\r\x1b[2A\x1b[J", "\n");
        assert_eq!(text.matches("\x1b[2A\x1b[J").count(), 3, "{text:?}");
        assert!(text.ends_with("\x1b[J"), "{text:?}");
        assert!(text.contains("a new[2J leader\n"), "control characters are taken out: {text:?}");
        assert!(plain.lines().all(|l| l.chars().count() <= 39), "{plain}");
        assert!(plain.contains("peak  24 s"), "{plain}");
    }

    #[test]
    fn the_bar_and_the_time_left_tell_the_progress() {
        let lines = block(&state(24), WIDTH);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌"), "{lines:?}");
        assert!(lines[0].ends_with("peak  24 s left"), "{lines:?}");
    }

    #[test]
    fn no_answer_is_not_nothing_due_and_requests_are_counted_where_they_end_the_run() {
        let silent = Progress { in_time_share: None, p99: None, ..state(2) };
        assert!(figures(&silent).contains("no answer"), "{}", figures(&silent));
        let idle = Progress { offered_per_s: 0.0, in_flight: 0, ..silent };
        assert!(figures(&idle).contains("nothing due yet"), "{}", figures(&idle));
        let counted = Progress { requests: Some((50, 200)), ..state(2) };
        assert!(plain_line(&counted).contains("peak 50 of 200 requests"), "{counted:?}");
        assert!(block(&counted, WIDTH)[0].contains("━━━━━━╌╌╌"), "{counted:?}");
    }
}
