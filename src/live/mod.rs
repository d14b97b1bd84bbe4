//! Floor 8: what is shown while a run goes on. Reads cheap values that the conductor hands it, and
//! writes to standard error; never part of a measurement.
//!
//! On a terminal: one block that rewrites itself, with whatever has room. Elsewhere: a plain line
//! every five seconds, and one for every event.
//!
//! The terminal stays as it was found, in its usual mode and with its cursor below the block, so
//! that there is nothing to restore whichever way brunt ends. That is why ratatui does not draw it:
//! its inline view asks the terminal where the cursor is, by way of standard output (which is for
//! data), and waits up to two seconds for the answer. (A crate with
//! nothing but ratatui 0.30 and crossterm took 30 CPU-seconds to build cold; some of what it needs
//! is built for brunt anyway, so that it would add less.)

mod block;
mod heat;
mod study;
mod target;
mod web;

pub use web::Web;

use crate::base::Nanos;
use crate::run::{Progress, StudyNow, Watcher};
use block::{Size, block, plain_line};
use std::io::Write;

/// Between two plain lines where the output is not a terminal.
const PLAIN_EVERY: Nanos = Nanos::from_secs(5);
/// Where the terminal does not tell its size.
const SIZE: Size = Size { columns: 80, lines: 24 };
/// Fewer columns are treated as so many.
const COLUMNS_MIN: usize = 20;

pub struct Live<W: Write> {
    out: W,
    is_terminal: bool,
    size: Size,
    /// Asks the terminal for its size, which may change at any time.
    ask_size: Option<fn() -> Option<Size>>,
    /// Length of each line of the block that stands on the screen.
    drawn: Vec<usize>,
    last_plain: Option<Nanos>,
    last: Option<Progress>,
    study: Option<StudyNow>,
}

impl Live<std::io::Stderr> {
    /// On standard error, as a terminal or not, whichever it is.
    pub fn stderr() -> Self {
        use std::io::IsTerminal;
        let err = std::io::stderr();
        let mut live = Live::new(err.is_terminal(), err);
        live.ask_size = Some(size_of_stderr);
        live
    }
}

fn size_of_stderr() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    let (columns, lines) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && lines > 0).then_some(Size { columns, lines })
}

/// A view that cannot be written to must not end a run: errors of the writer are let go.
impl<W: Write> Live<W> {
    pub fn new(is_terminal: bool, out: W) -> Self {
        Live {
            out,
            is_terminal,
            size: SIZE,
            ask_size: None,
            drawn: Vec::new(),
            last_plain: None,
            last: None,
            study: None,
        }
    }

    pub fn update(&mut self, state: &Progress) {
        if self.is_terminal {
            let text = self.redrawn("", state);
            self.write(&text);
        } else if self.last_plain.is_none_or(|at| state.elapsed >= at + PLAIN_EVERY) {
            self.last_plain = Some(state.elapsed);
            self.write(&format!("{}\n", plain_line(state)));
        }
        self.last = Some(state.clone());
    }

    /// A line that stays: a fault, a new leader, a warning.
    pub fn note(&mut self, at: Nanos, text: &str) {
        self.line_that_stays(&format!("{:>6.1} s  {text}", at.as_secs_f64()));
    }

    /// Also where a run has ended and its block still stands: the next one is not of that run.
    fn between_runs(&mut self, text: &str) {
        self.finish();
        self.last_plain = None;
        self.line_that_stays(text);
    }

    fn line_that_stays(&mut self, text: &str) {
        let line: String = text.chars().filter(|c| !c.is_control()).collect();
        let text = match (self.is_terminal, self.last.take()) {
            (true, Some(state)) => {
                let text = self.redrawn(&line, &state);
                self.last = Some(state);
                text
            }
            (_, last) => {
                self.last = last;
                format!("{line}\n")
            }
        };
        self.write(&text);
    }

    /// Takes the block off the screen; what follows starts at the left.
    pub fn finish(&mut self) {
        self.last = None;
        let text = self.go_to_the_start();
        if !text.is_empty() {
            self.write(&format!("{text}\x1b[J"));
        }
    }

    /// The block anew, below a line that stays if any. Each line is overwritten and only its rest
    /// is removed, so that nothing flickers.
    fn redrawn(&mut self, line: &str, state: &Progress) -> String {
        let mut text = self.go_to_the_start();
        let stays = (!line.is_empty()).then(|| line.to_string());
        let lines = block(state, self.study.as_ref(), self.size);
        self.drawn = lines.iter().map(|l| l.chars().count()).collect();
        for line in stays.into_iter().chain(lines) {
            text.push_str(&format!("{line}\x1b[K\n"));
        }
        text.push_str("\x1b[J");
        text
    }

    /// Back to the start of the block. A terminal that became narrower has wrapped its lines.
    fn go_to_the_start(&mut self) -> String {
        if let Some(size) = self.ask_size.and_then(|ask| ask()) {
            self.size = Size { columns: size.columns.max(COLUMNS_MIN), ..size };
        }
        let rows: usize = self.drawn.drain(..).map(|n| n.div_ceil(self.size.columns).max(1)).sum();
        match rows {
            0 => String::new(),
            n => format!("\r\x1b[{n}A"),
        }
    }

    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
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

    fn study(&mut self, now: &StudyNow) {
        let mut line = study::begins(now);
        if let Some(then) = study::then(now).filter(|_| !self.is_terminal) {
            line += &format!(" ({then})");
        }
        self.between_runs(&line);
        self.study = Some(now.clone());
    }

    fn say(&mut self, text: &str) {
        self.between_runs(text);
    }
}

#[cfg(test)]
mod tests {
    use super::block::tests::state;
    use super::*;

    fn shown(is_terminal: bool, see: impl FnOnce(&mut Live<&mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        see(&mut Live::new(is_terminal, &mut bytes));
        String::from_utf8(bytes).unwrap()
    }

    /// The screen after such bytes: enough of a terminal for what is written here.
    fn screen(text: &str) -> Vec<String> {
        let mut rows = vec![String::new()];
        let mut at = 0;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\n' => {
                    at += 1;
                    rows.resize(rows.len().max(at + 1), String::new());
                    rows[at].clear();
                }
                '\r' => {}
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    match &rest[end..=end] {
                        "A" => {
                            at -= rest[1..end].parse::<usize>().unwrap();
                            rows[at].clear();
                        }
                        "J" => rows.truncate(at + 1),
                        _ => {}
                    }
                    rest = &rest[end + 1..];
                }
                c => rows[at].push(c),
            }
        }
        rows
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
            "   5.0 s  horizontal peak of 48 s  199/s of 200/s · 99 % in time · 7 in flight · 2/3 nodes up · p99 45.0 ms · 10 not ok so far · in force: lose-app on app-1 for 3 s more"
        );
        assert!(text.ends_with("   9.7 s  app-1 fell silent\n"), "{text}");
    }

    #[test]
    fn on_a_terminal_the_block_rewrites_itself_and_notes_stay_above_it() {
        let seen = |finish: bool| {
            shown(true, |live| {
                live.update(&state(24));
                live.update(&state(25));
                live.note(Nanos::ZERO, "a new\x1b[2J leader");
                live.update(&state(26));
                if !finish {
                    live.drawn.clear();
                }
            })
        };
        let rows = screen(&seen(false));
        assert_eq!(rows[0], "   0.0 s  a new[2J leader", "{rows:?}");
        assert!(rows[1].ends_with("peak  22 s left"), "{rows:?}");
        assert_eq!(rows.iter().filter(|r| r.contains("s left")).count(), 1, "{rows:?}");
        assert_eq!(rows.last().unwrap(), "", "the cursor stands below: {rows:?}");
        assert_eq!(screen(&seen(true)), ["   0.0 s  a new[2J leader", ""]);
    }

    #[test]
    fn a_study_tells_of_each_run_at_the_margin_and_of_all_in_the_block() {
        let now = StudyNow {
            run: 2,
            runs: crate::run::Runs::Known(3),
            what: "vertical".into(),
            so_far: vec!["garage 43.1 % in time".into()],
            after: Nanos::from_secs(51),
        };
        let see = |is_terminal| {
            shown(is_terminal, |live| {
                live.update(&state(47));
                live.say("  holds");
                live.study(&now);
                live.update(&state(3));
                live.drawn.clear();
            })
        };
        let rows = screen(&see(true));
        assert_eq!(rows[..2], ["  holds", "run 2 of 3: vertical"], "{rows:?}");
        assert_eq!(rows[2], "  run 2 of 3 · 96 s left in all · garage 43.1 % in time");
        let plain = see(false);
        assert_eq!(plain.lines().nth(1), Some("  holds"), "{plain}");
        assert_eq!(
            plain.lines().nth(2),
            Some("run 2 of 3: vertical (the runs after it: about 51 s)")
        );
        assert_eq!(plain.lines().count(), 4, "the new run tells of itself at once: {plain}");
    }

    #[test]
    fn a_block_that_a_narrower_terminal_has_wrapped_is_still_removed() {
        let text = shown(true, |live| {
            live.update(&state(24));
            live.drawn = vec![70, 0, 30];
            live.size.columns = 40;
            live.finish();
        });
        assert!(text.ends_with("\r\x1b[4A\x1b[J"), "{text:?}");
    }
}
