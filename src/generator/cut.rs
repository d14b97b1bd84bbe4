//! The end of a worker's load: what is due and has not ended is cut off and counted.
//!
//! At rates far beyond what can be sent, most of what is due has not even been looked at. It is
//! counted to the last request, but in runs of requests that no counter or histogram tells apart.

use super::requests::{NONE, Request};
use super::tally::Place;
use super::worker::Worker;
use crate::base::Nanos;
use crate::record::{Cause, Outcome, Tag};
use crate::workload::{Agenda, Due};

/// Requests of one place whose start lags are the same to a histogram.
#[derive(Clone, Copy, Debug)]
struct Run {
    place: Place,
    lag: Nanos,
    /// The smallest lag that is not told apart from `lag`.
    lag_min: Nanos,
    n: u64,
}

impl Worker {
    /// Ends every request that is due and has not ended. What was in flight is unfinished, what
    /// had not been sent never was; both were due and unanswered, so their lower bounds count.
    pub(super) fn cut(&mut self, now: Nanos) {
        self.agenda.stop_at(Nanos::ZERO);
        while let Some(key) = self.requests.first() {
            let is_sent = self.requests.get(key).is_some_and(|r| r.sent.is_some());
            match is_sent {
                true => self.finish(key, Outcome::Unfinished, None, now),
                false => self.finish(key, Outcome::NeverSent, Some(Cause::Stopped), now),
            }
        }
        let last = now.min(Nanos(self.load.end.0.saturating_sub(1)));
        let nothing = Agenda::closed(&[], Nanos::ZERO, Nanos::ZERO, Nanos::ZERO, 0);
        let mut agenda = std::mem::replace(&mut self.agenda, nothing);
        let mut runs = vec![None; self.load.templates.len()];
        agenda.drain(last, |due| self.never_started(due, now, &mut runs));
        runs.iter().flatten().for_each(|run| self.count_run(run));
    }

    /// Counts a request that was due and not started, by itself or with others like it.
    fn never_started(&mut self, due: Due, now: Nanos, runs: &mut [Option<Run>]) {
        let drawn = self.load.drawn_of(due.slot, due.index);
        let place = self.place_of(due.intended, drawn.kind);
        if self.load.templates[drawn.kind].check.is_some() {
            self.record_cut(due, place, now);
        }
        if due.repetition > 0 {
            self.tally.cell(place).repeated += 1;
        }
        let lag = now - due.intended;
        match &mut runs[drawn.kind] {
            Some(run) if run.place == place && (run.lag_min..=run.lag).contains(&lag) => run.n += 1,
            other => {
                let lag_min = self.tally.histogram(Tag::StartLag).lowest_equivalent(lag);
                if let Some(run) = other.replace(Run { place, lag, lag_min, n: 1 }) {
                    self.count_run(&run);
                }
            }
        }
    }

    /// Requests are cut slot by slot, so the phase has to be looked up.
    fn place_of(&self, intended: Nanos, kind: usize) -> Place {
        let ends = &self.load.phase_ends;
        let phase = ends.partition_point(|end| *end <= intended).min(ends.len() - 1);
        Place {
            second: (intended.0 / Nanos::SECOND.0) as u32,
            phase: phase as u16,
            request: kind as u16,
        }
    }

    fn count_run(&mut self, run: &Run) {
        let Run { place, lag, n, .. } = *run;
        let ledger = &mut self.tally.cell(place).ledger;
        ledger.planned += n;
        ledger.never_sent += n;
        self.tally.caused(Outcome::NeverSent, Cause::Stopped, n);
        self.tally.histogram(Tag::StartLag).record_n(lag, n);
        // It ends as it would have started: the response is as late as the start.
        let response = Tag::Response { request: place.request, phase: place.phase };
        self.tally.histogram(response).record_n(lag, n);
    }

    fn record_cut(&mut self, due: Due, place: Place, now: Nanos) {
        let request = Request {
            slot: due.slot,
            index: due.index,
            place,
            route: 0,
            intended: due.intended,
            due: now,
            sent: None,
            connection: NONE,
            was_retried: false,
            repetition: due.repetition,
        };
        self.record_operation(&request, Outcome::NeverSent, None, now);
    }
}
