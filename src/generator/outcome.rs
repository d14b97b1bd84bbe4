//! How requests end: every one exactly once, into the ledger, the histograms and, where the data
//! is checked, the history.

use super::requests::{Key, Request};
use super::worker::Worker;
use crate::base::Nanos;
use crate::plan::{Check, RetryPlan};
use crate::record::{Cause, Operation, OperationKind, Outcome, Tag};
use crate::wire::http1::Head;
use crate::workload::Due;

/// A virtual user who finds the door closed does not knock again at once: without this, a closed
/// loop against a dead server would count nothing but its own speed.
const PAUSE_AFTER_ERROR: Nanos = Nanos::from_millis(10);

impl Worker {
    /// Ends a request that got a whole answer; `body` is only looked at where the template wants it.
    #[inline]
    pub(super) fn finish_answered(&mut self, key: Key, head: Head, body: &[u8], now: Nanos) {
        let Some(request) = self.requests.get(key) else { return };
        let template = &self.load.templates[request.place.request as usize];
        match template.checks.failure(head.status, body) {
            None => {
                self.tally.ok_status(head.status);
                self.end_request(key, Outcome::Ok, None, Some(head), now);
            }
            cause => self.end_request(key, Outcome::HttpError, cause, Some(head), now),
        }
    }

    /// Ends a request that got none.
    pub(super) fn finish(&mut self, key: Key, outcome: Outcome, cause: Option<Cause>, now: Nanos) {
        self.end_request(key, outcome, cause, None, now);
    }

    #[inline]
    fn end_request(
        &mut self,
        key: Key,
        outcome: Outcome,
        cause: Option<Cause>,
        head: Option<Head>,
        now: Nanos,
    ) {
        let Some(request) = self.requests.remove(key) else { return };
        if let Some(sent) = request.sent {
            self.in_flight -= 1;
            match self.load.is_closed_loop {
                true => self.rest.ended(now - sent),
                false => self.lookout.ended(),
            }
        }
        self.tally.ended(request.place, outcome, cause);
        self.record_times(&request, outcome, cause, now);
        if self.load.templates[request.place.request as usize].check.is_some() {
            self.record_operation(&request, outcome, head, now);
        }
        let is_error = outcome == Outcome::TransportError || cause == Some(Cause::QueueFull);
        let pause = if is_error { PAUSE_AFTER_ERROR } else { Nanos::ZERO };
        self.agenda.ended(request.slot, request.index, now, pause);
        if let Some(retry) = self.load.retry {
            self.ask_again(&request, outcome, now, retry);
        }
    }

    /// A visitor who got an error or no answer asks again, while there is load at all.
    fn ask_again(&mut self, request: &Request, outcome: Outcome, now: Nanos, retry: RetryPlan) {
        let has_failed =
            matches!(outcome, Outcome::HttpError | Outcome::TransportError | Outcome::Timeout);
        let Request { slot, index, repetition, .. } = *request;
        let due = Due { slot, index, intended: now + retry.after, repetition: repetition + 1 };
        if has_failed && due.repetition < retry.attempts && due.intended < self.load.end {
            self.agenda.ask_again(due);
        }
    }

    /// What counts as a response time (invariant 4): answers, and lower bounds where there was
    /// none in time or at the end. Errors of any speed stay out.
    #[inline]
    fn record_times(
        &mut self,
        request: &Request,
        outcome: Outcome,
        cause: Option<Cause>,
        now: Nanos,
    ) {
        let counts = match outcome {
            Outcome::Ok | Outcome::Timeout | Outcome::Unfinished => true,
            Outcome::NeverSent => cause == Some(Cause::Stopped),
            Outcome::HttpError | Outcome::TransportError => false,
        };
        if !counts {
            return;
        }
        let (kind, phase) = (request.place.request, request.place.phase);
        let response_time = now - request.intended;
        self.tally.record(Tag::Response { request: kind, phase }, response_time);
        if let (Outcome::Ok, Some(sent)) = (outcome, request.sent) {
            self.tally.record(Tag::Service { request: kind, phase }, now - sent);
            if response_time <= self.load.in_time {
                self.tally.cell(request.place).in_time += 1;
            }
        }
    }

    pub(super) fn record_operation(
        &mut self,
        request: &Request,
        outcome: Outcome,
        head: Option<Head>,
        now: Nanos,
    ) {
        let template = &self.load.templates[request.place.request as usize];
        let draws = self.load.draws(request.slot, request.index);
        let status = head.map(|h| h.status);
        let (kind, id, started) = match template.check {
            Some(Check::Read) if status.is_some_and(|s| (200..300).contains(&s)) => {
                (OperationKind::Read, 0, request.sent.unwrap_or(request.due))
            }
            Some(Check::Write) => {
                let kind = written(outcome, status, request.sent.is_some());
                (kind, template.write_id(&draws), request.intended)
            }
            _ => return,
        };
        let key = template.key(&self.load.values, &draws);
        let version = head.and_then(|h| h.version).unwrap_or(0);
        let session = request.slot + 1;
        self.tally.operation(Operation { kind, session, key, id, version, started, ended: now });
    }
}

/// What is known about a write after its request has ended.
fn written(outcome: Outcome, status: Option<u16>, was_sent: bool) -> OperationKind {
    match (outcome, status) {
        (_, Some(200..300)) => OperationKind::Acknowledged,
        // 503 is the stack's "certainly not done"; other server errors leave it open.
        (_, Some(503)) => OperationKind::Failed,
        (_, Some(500..)) => OperationKind::Indeterminate,
        (_, Some(_)) => OperationKind::Failed,
        (_, None) if was_sent => OperationKind::Indeterminate,
        (_, None) => OperationKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_lost_only_when_that_is_certain() {
        use OperationKind::{Acknowledged, Failed, Indeterminate};
        let check = |outcome, status, was_sent, expected| {
            assert_eq!(written(outcome, status, was_sent), expected, "{outcome:?} {status:?}");
        };
        check(Outcome::Ok, Some(200), true, Acknowledged);
        check(Outcome::Ok, Some(302), true, Failed);
        check(Outcome::HttpError, Some(404), true, Failed);
        check(Outcome::HttpError, Some(503), true, Failed);
        check(Outcome::HttpError, Some(500), true, Indeterminate);
        check(Outcome::HttpError, Some(504), true, Indeterminate);
        check(Outcome::Timeout, None, true, Indeterminate);
        check(Outcome::Timeout, None, false, Failed);
        check(Outcome::TransportError, None, true, Indeterminate);
        check(Outcome::TransportError, None, false, Failed);
        check(Outcome::Unfinished, None, true, Indeterminate);
        check(Outcome::NeverSent, None, false, Failed);
    }
}
