//! What faults have made this node do to the requests that it serves and to its disk. The rules are
//! for the service side: `/healthz`, heartbeats, elections and everything else on the admin side stay
//! as they are, so what is only asked whether it lives looks well while its work fails (a gray
//! failure). Rules end with the process.
//!
//! Rules do not know of each other: each draws for itself. Of several errors the first put answers,
//! delays add up, and taking one rule off ends what it does at once, for answers that wait, too.

mod check;
mod promise;
pub mod rule;

pub use promise::{MISSING_BYTES, Promised};

use super::held::Held;
use super::node;
use crate::fault::NodeRule;
use crate::plan::NodePlan;
use crate::target::Role;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use rule::Rule;
use serde_json::json;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// What an answer says that a rule gave.
pub const REASON: &str = "a fault asked for this error; nothing was done\n";
/// How long a sync that is made slower stays asleep before it looks whether its rule is off.
const SLICE: Duration = Duration::from_millis(5);

/// The rules in force at one node.
pub struct Faults {
    node: String,
    role: Role,
    seed: u64,
    /// All that is read while there is no rule.
    is_any: AtomicBool,
    rules: RwLock<Arc<Vec<Arc<Rule>>>>,
}

impl Faults {
    pub fn new(plan: &NodePlan) -> Faults {
        Faults {
            node: plan.name.clone(),
            role: plan.role,
            seed: plan.seed,
            is_any: AtomicBool::new(false),
            rules: RwLock::default(),
        }
    }

    #[inline]
    pub fn is_none(&self) -> bool {
        !self.is_any.load(Ordering::Relaxed)
    }

    /// One request of this method, answered as the rules will have it: an error instead of the work,
    /// then waits, then a promise that is not kept.
    pub async fn around(
        &self,
        asked: &Method,
        work: impl Future<Output = Response<Full<Bytes>>>,
    ) -> Response<Promised<Full<Bytes>>> {
        let answer = match self.error() {
            Some(status) => node::text(status, REASON),
            None => work.await,
        };
        if let Some(delay) = self.delay() {
            delay.over().await;
        }
        self.promise(asked, answer)
    }

    /// The error that a request gets now, if any. To be asked once a request.
    pub fn error(&self) -> Option<StatusCode> {
        if self.is_none() {
            return None;
        }
        let mut first = None;
        for rule in self.rules().iter() {
            if let NodeRule::Errors { status, .. } = rule.rule
                && rule.draw().is_some()
                && first.is_none()
            {
                rule.did();
                first = StatusCode::from_u16(status).ok();
            }
        }
        first
    }

    /// What an answer has to wait for now, if anything. To be asked once an answer.
    pub fn delay(&self) -> Option<Delay> {
        if self.is_none() {
            return None;
        }
        let mut waits = Vec::new();
        for rule in self.rules().iter() {
            if let NodeRule::Delay { delay, jitter, .. } = rule.rule
                && let Some(mut draws) = rule.draw()
            {
                rule.did();
                let wait = rule::jittered(delay, jitter, &mut draws);
                waits.push((rule.clone(), wait.duration()));
            }
        }
        (!waits.is_empty()).then_some(Delay(waits))
    }

    /// Whether an answer that has a length is to promise more than it brings. To be asked once such
    /// an answer.
    pub fn is_short(&self) -> bool {
        if self.is_none() {
            return false;
        }
        let mut is_short = false;
        for rule in self.rules().iter() {
            if let NodeRule::WrongLength { .. } = rule.rule
                && rule.draw().is_some()
            {
                rule.did();
                is_short = true;
            }
        }
        is_short
    }

    /// An answer to a request of this method as it is sent. What has no body or no length by itself
    /// is sent as it is.
    pub fn promise<B: Body>(&self, asked: &Method, answer: Response<B>) -> Response<Promised<B>> {
        if self.is_none() || !promise::has_length(asked, &answer) || !self.is_short() {
            return answer.map(Promised::kept);
        }
        Promised::broken(answer)
    }

    /// Makes a sync to disk longer that has just been done: sleeps on the calling thread.
    pub fn lengthen_sync(&self) -> Duration {
        if self.is_none() {
            return Duration::ZERO;
        }
        let began = Instant::now();
        for rule in self.rules().iter() {
            if let NodeRule::SlowSync { delay } = rule.rule {
                rule.met();
                rule.did();
                let end = Instant::now() + delay.duration();
                while !rule.is_off() {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    std::thread::sleep(left.min(SLICE));
                }
            }
        }
        began.elapsed()
    }

    fn rules(&self) -> Arc<Vec<Arc<Rule>>> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the list; what leaves it is off from now on.
    fn change(&self, to: impl FnOnce(&mut Vec<Arc<Rule>>)) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = (**rules).clone();
        to(&mut all);
        let gone = rules.iter().filter(|old| !all.iter().any(|new| Arc::ptr_eq(old, new)));
        gone.for_each(|rule| rule.turn_off());
        self.is_any.store(!all.is_empty(), Ordering::Relaxed);
        *rules = Arc::new(all);
    }
}

impl Held for Faults {
    /// The same rule again under the same id changes nothing; another one takes its place.
    fn put(&self, hold: &str, body: &[u8]) -> Result<String, String> {
        let rule = check::read(body)?;
        check::fits(&self.node, self.role, &rule)?;
        if self.rules().iter().any(|r| r.hold == hold && r.rule == rule) {
            return Ok("in force already".into());
        }
        let new = Arc::new(Rule::new(&self.node, self.seed, hold, rule));
        self.change(|all| {
            all.retain(|r| r.hold != hold);
            all.push(new);
        });
        Ok("in force for what comes from now on".into())
    }

    fn delete(&self, hold: &str) -> String {
        let found = self.rules().iter().find(|r| r.hold == hold).cloned();
        let Some(rule) = found else { return String::new() };
        self.change(|all| all.retain(|r| r.hold != hold));
        rule.words()
    }

    fn list(&self) -> serde_json::Value {
        let one = |r: &Arc<Rule>| json!({ "hold": r.hold, "rule": r.rule, "did": r.words() });
        self.rules().iter().map(one).collect()
    }
}

/// What one answer waits for: one rule after the other, each for as long as it is in force.
pub struct Delay(Vec<(Arc<Rule>, Duration)>);

impl Delay {
    pub async fn over(self) {
        for (rule, wait) in self.0 {
            let _ = tokio::time::timeout(wait, rule.off()).await;
        }
    }
}
