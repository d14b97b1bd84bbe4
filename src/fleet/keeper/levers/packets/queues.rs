//! Queues on the loopback interface of the run's own network: one class of HTB for each way, of its
//! rate, with netem behind it where packets are delayed. What is not sorted into one passes by.

use super::super::super::operate::refused;
use super::ways::Way;
use crate::base::{Bytes, Nanos};
use crate::host::program::{Inside, TC};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;

/// Of a way that is not slowed down: far more than this interface carries.
const RATE_MAX: Bytes = Bytes(10_000_000_000);
/// A class may send so much of its rate at once.
const BURST: Nanos = Nanos::from_millis(5);
const BURST_MIN: u64 = 3_000;
/// Packets that are under way behind a delay.
const UNDER_WAY_MAX: u32 = 100_000;

/// What there is now, by the numbers of ways.
#[derive(Debug, Default)]
pub struct Queues {
    are_there: bool,
    classes: BTreeSet<u16>,
    delays: BTreeSet<u16>,
}

impl Queues {
    pub fn look(run: &str) -> io::Result<Queues> {
        let show = |what: &str| TC.run(run, Inside::Here, &[what, "show", "dev", "lo"], "");
        Ok(Self::read(&show("qdisc")?, &show("class")?))
    }

    fn read(queues: &str, classes: &str) -> Queues {
        // `class htb 1:1c root …`, `qdisc netem 1c: parent 1:1c …`
        let third = |line: &str| line.split_whitespace().nth(2).map(str::to_string);
        let number = |text: String| {
            u16::from_str_radix(text.trim_start_matches("1:").trim_end_matches(':'), 16).ok()
        };
        let numbers = |text: &str, kind: &str| {
            let lines = text.lines().filter(|l| l.starts_with(kind));
            lines.filter_map(third).filter_map(number).collect()
        };
        Queues {
            are_there: queues.lines().any(|l| l.starts_with("qdisc htb 1: root")),
            classes: numbers(classes, "class htb 1:"),
            delays: numbers(queues, "qdisc netem "),
        }
    }

    /// Whether one is of one of these ways.
    pub fn are_of(&self, ways: &[Way]) -> bool {
        ways.iter().any(|w| self.classes.contains(&w.number))
    }

    /// Makes and changes queues until every way that wants one has it.
    pub fn make(&self, run: &str, inside: Inside, all: &[Way]) -> io::Result<()> {
        let mut script = String::new();
        let queued: Vec<&Way> = all.iter().filter(|w| w.is_queued()).collect();
        if !queued.is_empty() && !self.are_there {
            script.push_str("qdisc add dev lo root handle 1: htb\n");
        }
        for way in &queued {
            script.push_str(&class(way));
            match way.needs_netem() {
                true => script.push_str(&delay(way)),
                false if self.delays.contains(&way.number) => {
                    let _ = writeln!(script, "qdisc del dev lo parent 1:{:x}", way.number);
                }
                false => {}
            }
        }
        apply(run, inside, &script)
    }

    /// Packets that still wait in a queue that goes are lost, and sent once more by TCP.
    pub fn remove_others(&self, run: &str, all: &[Way]) -> io::Result<()> {
        let wanted: BTreeSet<u16> =
            all.iter().filter(|w| w.is_queued()).map(|w| w.number).collect();
        let mut script = String::new();
        if wanted.is_empty() && self.are_there {
            script.push_str("qdisc del dev lo root\n");
        } else {
            for number in self.classes.difference(&wanted) {
                let _ = writeln!(script, "class del dev lo classid 1:{number:x}");
            }
        }
        apply(run, Inside::Here, &script)
    }

    /// Whether there is what these ways want, and nothing else.
    pub fn verify(&self, all: &[Way]) -> io::Result<()> {
        let of = |is_one: fn(&Way) -> bool| -> BTreeSet<u16> {
            all.iter().filter(|w| is_one(w)).map(|w| w.number).collect()
        };
        let (classes, delays) = (of(Way::is_queued), of(Way::needs_netem));
        let is_so = self.are_there != classes.is_empty()
            && self.classes == classes
            && self.delays == delays;
        match is_so {
            true => Ok(()),
            false => refused(format!("tc took the queues, but shows others: {self:?}")),
        }
    }
}

/// Packets that went through the queues of these ways, and how often one had to wait for its rate.
pub fn count(run: &str, own: &[Way]) -> io::Result<(u64, u64)> {
    let text = TC.run(run, Inside::Here, &["-s", "class", "show", "dev", "lo"], "")?;
    Ok(counted(&text, own))
}

fn counted(text: &str, own: &[Way]) -> (u64, u64) {
    let mut sums = (0, 0);
    let mut is_own = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("class ") {
            is_own = own.iter().any(|w| line.starts_with(&format!("class htb 1:{:x} ", w.number)));
        } else if is_own && line.starts_with("Sent ") {
            // `Sent 3160376 bytes 2092 pkt (dropped 0, overlimits 264 requeues 0)`
            let words: Vec<&str> = line.split([' ', ',', '(', ')']).collect();
            let after = |word: &str, by: isize| {
                let at = words.iter().position(|w| *w == word)?.checked_add_signed(by)?;
                words.get(at)?.parse::<u64>().ok()
            };
            sums.0 += after("pkt", -1).unwrap_or(0);
            sums.1 += after("overlimits", 1).unwrap_or(0);
        }
    }
    sums
}

fn apply(run: &str, inside: Inside, script: &str) -> io::Result<()> {
    if script.is_empty() {
        return Ok(());
    }
    TC.run(run, inside, &["-batch", "-"], script).map(drop).map_err(|e| {
        match script.contains("netem") && e.to_string().contains("qdisc kind is unknown") {
            true => io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel has no netem (sch_netem), without which it cannot delay packets; \
                 `by = \"proxy\"` can",
            ),
            false => e,
        }
    })
}

fn class(way: &Way) -> String {
    let rate = way.rate.unwrap_or(RATE_MAX).0;
    let burst = (rate as f64 * BURST.as_secs_f64()) as u64;
    let burst = burst.max(BURST_MIN);
    format!(
        "class replace dev lo parent 1: classid 1:{:x} htb rate {}bit burst {burst}b cburst \
         {burst}b quantum 60000\n",
        way.number,
        rate.saturating_mul(8),
    )
}

fn delay(way: &Way) -> String {
    let us = |n: Nanos| n.0.div_ceil(1_000);
    let reorder = match way.reordered > 0.0 {
        true => format!(" reorder {}%", way.reordered * 100.0),
        false => String::new(),
    };
    format!(
        "qdisc replace dev lo parent 1:{0:x} handle {0:x}: netem limit {UNDER_WAY_MAX} delay \
         {1}us {2}us{reorder}\n",
        way.number,
        us(way.delay),
        us(way.jitter),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tc_shows_is_read() {
        let queues = "qdisc htb 1: root refcnt 2 r2q 10 default 0 direct_packets_stat 3\n\
                      qdisc netem 1d: parent 1:1d limit 100000 delay 50ms";
        let classes = "class htb 1:1c root prio 0 rate 8Mbit ceil 8Mbit burst 1600b\n\
                       class htb 1:1d root leaf 1d: prio 0 rate 8Mbit ceil 8Mbit burst 1600b";
        let seen = Queues::read(queues, classes);
        assert!(seen.are_there);
        assert_eq!(seen.classes, BTreeSet::from([0x1c, 0x1d]));
        assert_eq!(seen.delays, BTreeSet::from([0x1d]));
        let none = Queues::read("qdisc noqueue 0: root refcnt 2", "");
        assert!(!none.are_there && none.classes.is_empty() && none.delays.is_empty());
        assert!(none.verify(&[]).is_ok());
        assert!(seen.verify(&[]).is_err());
    }

    #[test]
    fn what_tc_counted_is_read() {
        let text = "class htb 1:10 root prio 0 rate 8Mbit\n \
                    Sent 3160376 bytes 2092 pkt (dropped 0, overlimits 264 requeues 0) \n \
                    backlog 0b 0p requeues 0\n\
                    class htb 1:11 root prio 0 rate 8Mbit\n \
                    Sent 1 bytes 7 pkt (dropped 0, overlimits 9 requeues 0) \n";
        let way = |number| Way {
            number,
            address: [127, 0, 0, 1].into(),
            is_back: false,
            lost: 0.0,
            rate: None,
            delay: Nanos::ZERO,
            jitter: Nanos::ZERO,
            reordered: 0.0,
        };
        assert_eq!(counted(text, &[way(0x10)]), (2092, 264));
        assert_eq!(counted(text, &[way(0x10), way(0x11)]), (2099, 273));
        assert_eq!(counted("", &[way(0x10)]), (0, 0));
    }
}
