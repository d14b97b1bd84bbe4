//! What a run has from its start because of its faults: it cannot be put under a running service.

use crate::base::Bytes;
use crate::fault::{FaultKind, Need};
use serde::{Deserialize, Serialize};

/// Of a data folder that can be filled. It takes only the memory of what is in it.
const DATA_FOLDER: Bytes = Bytes(1 << 30);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// A network of the run's own, where packets can be lost.
    #[serde(default)]
    pub network: bool,
    /// A data folder of so many bytes, which can be full.
    #[serde(default)]
    pub data_folder: Option<Bytes>,
}

impl Needs {
    pub(super) fn of<'a>(kinds: impl Iterator<Item = &'a FaultKind>) -> Needs {
        let mut needs = Needs::default();
        for kind in kinds {
            match kind.need() {
                Need::Namespace => needs.network = true,
                Need::BoundedFolder => needs.data_folder = Some(DATA_FOLDER),
                Need::Proxy | Need::Nothing => {}
            }
        }
        needs
    }
}
