//! Where a controller's groups are, and limits as its control files write them.

use super::files::{read, write};
use crate::base::Bytes;
use crate::base::units::size_text;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A folder of one controller, in the kind of hierarchy that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    V1(PathBuf),
    V2(PathBuf),
}

impl Place {
    pub fn folder(&self) -> &Path {
        match self {
            Place::V1(folder) | Place::V2(folder) => folder,
        }
    }

    pub fn below(&self, name: &str) -> Place {
        match self {
            Place::V1(folder) => Place::V1(folder.join(name)),
            Place::V2(folder) => Place::V2(folder.join(name)),
        }
    }
}

/// At most so much, or as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit(pub Option<Bytes>);

impl Limit {
    pub const NONE: Limit = Limit(None);

    /// The stronger of the two.
    pub fn or_less(self, than: Limit) -> Limit {
        match (self.0, than.0) {
            (Some(a), Some(b)) => Limit(Some(Bytes(a.0.min(b.0)))),
            (a, b) => Limit(a.or(b)),
        }
    }

    /// `max`, or the largest number of whole pages (v1), is no limit.
    pub fn parse(text: &str) -> io::Result<Limit> {
        const ENDLESS: u64 = 1 << 62;
        match (text, text.parse::<u64>()) {
            ("max", _) => Ok(Limit::NONE),
            (_, Ok(n)) if n >= ENDLESS => Ok(Limit::NONE),
            (_, Ok(n)) => Ok(Limit(Some(Bytes(n)))),
            (_, Err(_)) => Err(io::Error::other(format!("`{text}` is no limit"))),
        }
    }

    /// As a control file wants it, whose word for no limit is given.
    pub fn written(self, none: &str) -> String {
        self.0.map_or_else(|| none.into(), |bytes| bytes.0.to_string())
    }

    /// As the kernel keeps a limit of memory: whole pages.
    pub fn in_pages(self) -> Limit {
        let page = rustix::param::page_size() as u64;
        Limit(self.0.map(|bytes| Bytes(bytes.0 / page * page)))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{}", size_text(bytes)),
            None => write!(f, "unlimited"),
        }
    }
}

/// A control file that holds one limit.
pub fn limit_in(folder: &Path, file: &str) -> io::Result<Limit> {
    Limit::parse(&read(folder, file)?)
}

/// Writes it, and looks.
///
/// # Errors
/// When the kernel refuses it, or does not have it afterwards.
pub fn set_limit_in(folder: &Path, file: &str, limit: Limit, none: &str) -> io::Result<()> {
    write(folder, file, &limit.written(none))?;
    let seen = limit_in(folder, file)?;
    match seen == limit.in_pages() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{file} reads back as {seen}, not {limit}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_both_hierarchies_write_them() {
        let some = |n| Limit(Some(Bytes(n)));
        for (text, expected) in [
            ("max", Limit::NONE),
            ("9223372036854771712", Limit::NONE),
            ("1048576", some(1 << 20)),
            ("0", some(0)),
        ] {
            assert_eq!(Limit::parse(text).unwrap(), expected, "{text}");
        }
        assert!(Limit::parse("many").is_err());
        assert_eq!(Limit::NONE.or_less(some(5)), some(5));
        assert_eq!(some(5).or_less(some(7)), some(5));
        assert_eq!(some(5).or_less(Limit::NONE), some(5));
        assert_eq!(Limit::NONE.written("-1"), "-1");
        assert_eq!(some(5000).in_pages(), some(4096));
    }
}
