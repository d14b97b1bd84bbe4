//! A link, the rules on it, and its connections.

use super::rule::{Count, Rule, counted};
use super::way::Way;
use crate::base::random;
use crate::fault::{Direction, LinkRule};
use rand_xoshiro::rand_core::Rng;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// From one node, or region of visitors, to another node; its service and its admin side alike.
pub struct Link {
    pub from: String,
    pub to: String,
    pub counts: Counts,
    seed: u64,
    /// What was drawn for each connection that is open.
    open: Mutex<BTreeMap<(u16, u64), f64>>,
    rules: watch::Sender<Arc<Vec<Rule>>>,
}

/// Since the process started.
#[derive(Default)]
pub struct Counts {
    pub connects: Count,
    pub bytes_there: Count,
    pub bytes_back: Count,
    /// Connections that ended by a reset, whoever made it.
    pub resets: Count,
    /// Connections that found no service, or no room here.
    pub refused: Count,
}

impl Link {
    pub fn new(from: &str, to: &str, seed: u64) -> Link {
        Link {
            from: from.into(),
            to: to.into(),
            counts: Counts::default(),
            seed,
            open: Mutex::default(),
            rules: watch::Sender::new(Arc::default()),
        }
    }

    /// Puts a rule on; the same one under the same id again stays what it is.
    pub fn put(&self, hold: &str, rule: LinkRule) -> String {
        let (open, hit) = {
            let open = self.open();
            (open.len() as u64, open.values().filter(|draw| **draw < rule.share).count())
        };
        self.rules.send_if_modified(|rules| {
            if rules.iter().any(|r| r.hold == hold && r.rule == rule) {
                return false;
            }
            let others = rules.iter().filter(|r| r.hold != hold).cloned();
            *rules = Arc::new(others.chain([Rule::new(hold, rule)]).collect());
            true
        });
        format!("in force on {hit} of {}", counted(open, "open connection"))
    }

    /// What it did, when it was there.
    pub fn delete(&self, hold: &str) -> Option<String> {
        let found = self.rules().iter().find(|r| r.hold == hold).cloned()?;
        self.rules.send_modify(|rules| {
            *rules = Arc::new(rules.iter().filter(|r| r.hold != hold).cloned().collect());
        });
        Some(found.words())
    }

    pub fn rules(&self) -> Arc<Vec<Rule>> {
        self.rules.borrow().clone()
    }

    pub fn connections_open(&self) -> usize {
        self.open().len()
    }

    /// Returns when the link is parted for all connections, or is not.
    pub async fn is_parted(&self, wanted: bool) {
        let mut rules = self.rules.subscribe();
        let is_as_wanted = |rules: &Arc<Vec<Rule>>| rules.iter().any(Rule::parts_all) == wanted;
        // The link keeps the sender, so the wait only ends by what it waits for.
        let _ = rules.wait_for(is_as_wanted).await;
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<(u16, u64), f64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of a link's addresses: of the service, or of its admin side. Its connections are numbered
/// apart, so that how many heartbeats came between does not change which connection is hit.
pub struct Port {
    link: Arc<Link>,
    index: u16,
    next_connection: AtomicU64,
}

impl Port {
    pub fn new(link: Arc<Link>, index: u16) -> Port {
        Port { link, index, next_connection: AtomicU64::new(0) }
    }

    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The next connection, drawn.
    pub fn connect(&self) -> Connection {
        let link = self.link.clone();
        let index = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let draw = draw(link.seed, &link.from, &link.to, self.index, index);
        link.counts.connects.add(1);
        link.open().insert((self.index, index), draw);
        Connection { link, port: self.index, index, draw, met: Met::default() }
    }
}

/// In [0, 1): a rule is for the connections whose draw is below its share. It depends on nothing
/// but the seed, the link and which connection it is, in the order in which they come.
pub fn draw(seed: u64, from: &str, to: &str, port: u16, connection: u64) -> f64 {
    let mut stream = random::stream(seed, &format!("link {from}->{to} {port}"), connection);
    random::unit(stream.next_u64())
}

/// One connection of a link.
pub struct Connection {
    pub link: Arc<Link>,
    port: u16,
    index: u64,
    draw: f64,
    met: Met,
}

/// The rules in force that have met this connection, so that each counts it once, whichever of its
/// ways is first.
pub type Met = Arc<Mutex<Vec<Rule>>>;

impl Connection {
    /// One direction of it.
    pub fn way(&self, direction: Direction) -> Way {
        let link = &self.link;
        let name = format!("jitter {}->{} {} {direction:?}", link.from, link.to, self.port);
        let draws = random::stream(link.seed, &name, self.index);
        Way::new(direction, self.draw, self.met.clone(), link.rules.subscribe(), draws)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.open().remove(&(self.port, self.index));
    }
}
