//! Turns the workers' tallies into snapshots, away from the workers' threads.

use super::meter::{Meter, proportional_set_size};
use super::tally::Tally;
use crate::base::{Nanos, clock};
use crate::record::Snapshot;
use std::sync::mpsc::{Receiver, Sender};

/// How often a worker process looks at its own memory: the kernel walks through all of it.
const MEMORY_EVERY: Nanos = Nanos::from_secs(10);

/// A full tally on its way out, with the part of the snapshot that only the worker knows.
pub(super) struct Parcel {
    pub tally: Box<Tally>,
    pub snapshot: Snapshot,
    pub back: Sender<Box<Tally>>,
}

/// Whose memory the courier tells.
pub(super) enum Whose {
    /// brunt's, at the end only: a worker beside this thread must not be disturbed by it.
    Own(Meter),
    /// That of a worker which is a process of its own, in its snapshots.
    Worker,
}

/// Runs until every worker has gone. A sink that nobody reads any more is not an error: the load
/// goes on for whoever else watches it.
pub(super) fn carry(parcels: &Receiver<Parcel>, sink: &Sender<Snapshot>, whose: &Whose) {
    let mut look_at = Nanos::ZERO;
    while let Ok(parcel) = parcels.recv() {
        let Parcel { mut tally, mut snapshot, back } = parcel;
        tally.pour(&mut snapshot);
        if let Whose::Worker = whose {
            snapshot.process_cpu = clock::process_cpu();
        }
        match whose {
            Whose::Own(meter) if snapshot.is_last => meter.look(),
            Whose::Worker if snapshot.is_last || snapshot.at >= look_at => {
                snapshot.memory = proportional_set_size();
                look_at = snapshot.at + MEMORY_EVERY;
            }
            _ => {}
        }
        // Given back only now: until then a worker that has ended waits with all it holds.
        let _ = back.send(tally);
        let _ = sink.send(snapshot);
    }
}
