//! What a lever on packets did, by the kernel's counters.

/// They only grow while something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    Lost {
        of: u64,
        lost: u64,
    },
    /// How often one had to wait for its rate.
    Slowed {
        packets: u64,
        held: u64,
    },
    Delayed {
        packets: u64,
    },
}

impl Packets {
    /// `None` when the two are of different kinds.
    pub fn since(self, before: Packets) -> Option<Packets> {
        use Packets::{Delayed, Lost, Slowed};
        match (self, before) {
            (Lost { of, lost }, Lost { of: o, lost: l }) => {
                Some(Lost { of: of.saturating_sub(o), lost: lost.saturating_sub(l) })
            }
            (Slowed { packets, held }, Slowed { packets: p, held: h }) => {
                Some(Slowed { packets: packets.saturating_sub(p), held: held.saturating_sub(h) })
            }
            (Delayed { packets }, Delayed { packets: p }) => {
                Some(Delayed { packets: packets.saturating_sub(p) })
            }
            _ => None,
        }
    }

    pub fn words(self) -> String {
        match self {
            Packets::Lost { lost: 0, of } => format!("no effect: none of {of} packets was lost"),
            Packets::Lost { lost, of } => format!("{lost} of {of} packets lost"),
            Packets::Slowed { held: 0, packets } => {
                format!("no effect: none of {packets} packets had to wait")
            }
            Packets::Slowed { held, packets } => {
                format!("{packets} packets, which had to wait {held} times")
            }
            Packets::Delayed { packets: 0 } => "no effect: no packet came".into(),
            Packets::Delayed { packets } => format!("{packets} packets delayed"),
        }
    }
}
