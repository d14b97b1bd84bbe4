//! What a server may read and write per second on one device. v2's `io.max` covers what the kernel
//! writes back later, too; v1's `blkio.throttle` only what a process waits for: direct I/O, reads
//! that are not in the page cache, and syncs.

use super::files::{read, write};
use super::place::{Limit, Place};
use crate::base::Bytes;
use crate::host::block::Device;
use std::io;

/// A server's group of the blkio (v1) or io (v2) controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskGroup(pub Place);

/// Bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub read: Limit,
    pub write: Limit,
}

impl Rates {
    pub fn both(limit: Limit) -> Rates {
        Rates { read: limit, write: limit }
    }

    /// The stronger of the two, each way.
    pub fn or_less(self, than: Rates) -> Rates {
        Rates { read: self.read.or_less(than.read), write: self.write.or_less(than.write) }
    }
}

/// Bytes that went through the group since it was made, as far as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub read: Bytes,
    pub written: Bytes,
}

const V1_READ: &str = "blkio.throttle.read_bps_device";
const V1_WRITE: &str = "blkio.throttle.write_bps_device";

impl DiskGroup {
    /// For people.
    pub fn mechanism(&self) -> &'static str {
        match self.0 {
            Place::V1(_) => "blkio.throttle (direct and synced I/O only)",
            Place::V2(_) => "io.max",
        }
    }

    /// # Errors
    /// When the group is gone.
    pub fn rates(&self, device: Device) -> io::Result<Rates> {
        let of = |file| read(self.0.folder(), file).map(|text| line_of(&text, device));
        match self.0 {
            Place::V1(_) => {
                let limit =
                    |line: Option<String>| line.map_or(Ok(Limit::NONE), |l| Limit::parse(&l));
                Ok(Rates { read: limit(of(V1_READ)?)?, write: limit(of(V1_WRITE)?)? })
            }
            Place::V2(_) => {
                let line = of("io.max")?.unwrap_or_default();
                let limit = |key| field(&line, key).map_or(Ok(Limit::NONE), Limit::parse);
                Ok(Rates { read: limit("rbps")?, write: limit("wbps")? })
            }
        }
    }

    /// Sets them, and looks.
    ///
    /// # Errors
    /// When the kernel refuses them or does not have them afterwards.
    pub fn set_rates(&self, device: Device, rates: Rates) -> io::Result<()> {
        let folder = self.0.folder();
        match self.0 {
            Place::V1(_) => {
                let line = |limit: Limit| format!("{device} {}", limit.written("0"));
                write(folder, V1_READ, &line(rates.read))?;
                write(folder, V1_WRITE, &line(rates.write))?;
            }
            Place::V2(_) => {
                let (read, written) = (rates.read.written("max"), rates.write.written("max"));
                write(folder, "io.max", &format!("{device} rbps={read} wbps={written}"))?;
            }
        }
        let seen = self.rates(device)?;
        match seen == rates {
            true => Ok(()),
            false => Err(io::Error::other(format!("the rates read back as {seen:?}"))),
        }
    }

    pub fn moved(&self, device: Device) -> Moved {
        let folder = self.0.folder();
        let (read, written) = match self.0 {
            Place::V1(_) => {
                let text = read(folder, "blkio.throttle.io_service_bytes").unwrap_or_default();
                let count = |way: &str| v1_count(&text, device, way);
                (count("Read"), count("Write"))
            }
            Place::V2(_) => {
                let text = read(folder, "io.stat").unwrap_or_default();
                let line = line_of(&text, device).unwrap_or_default();
                let count = |key| field(&line, key).and_then(|n| n.parse().ok());
                (count("rbytes"), count("wbytes"))
            }
        };
        Moved { read: Bytes(read.unwrap_or_default()), written: Bytes(written.unwrap_or_default()) }
    }
}

/// What follows `MAJ:MIN ` in the line of this device.
fn line_of(text: &str, device: Device) -> Option<String> {
    let start = format!("{device} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|rest| rest.trim().to_string())
}

/// The value of `key=value` in a line of such.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

/// `254:0 Write 4096`, a line for each way.
fn v1_count(text: &str, device: Device, way: &str) -> Option<u64> {
    let start = format!("{device} {way} ");
    text.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_devices_are_not_read() {
        let device = Device { major: 8, minor: 0 };
        let max = "8:1 rbps=1 wbps=2\n8:0 rbps=max wbps=1048576 riops=max wiops=max\n";
        let line = line_of(max, device).unwrap();
        assert_eq!(field(&line, "wbps"), Some("1048576"));
        assert_eq!(field(&line, "rbps"), Some("max"));
        assert_eq!(field(&line, "bps"), None);
        let v1 = "18:0 Write 7\n8:0 Read 1\n8:0 Write 4096\n8:0 Total 4097\nTotal 4104\n";
        assert_eq!(v1_count(v1, device, "Write"), Some(4096));
        assert_eq!(v1_count(v1, device, "Discard"), None);
        assert_eq!(line_of(v1, Device { major: 9, minor: 0 }), None);
    }
}
