//! Turns the workers' tallies into snapshots, away from the workers' threads.

use super::tally::Tally;
use crate::record::Snapshot;
use std::sync::mpsc::{Receiver, Sender};

/// A full tally on its way out, with the part of the snapshot that only the worker knows.
pub(super) struct Parcel {
    pub tally: Box<Tally>,
    pub snapshot: Snapshot,
    pub back: Sender<Box<Tally>>,
}

/// Runs until every worker has gone. A sink that nobody reads any more is not an error: the load
/// goes on for whoever else watches it.
pub(super) fn carry(parcels: &Receiver<Parcel>, sink: &Sender<Snapshot>) {
    while let Ok(parcel) = parcels.recv() {
        let Parcel { mut tally, mut snapshot, back } = parcel;
        tally.pour(&mut snapshot);
        let _ = back.send(tally);
        let _ = sink.send(snapshot);
    }
}
