//! One option of a driver as it is written, and the values that several drivers' options have.

use crate::parse::words::{boolean, nearest};
use rcr_base::{Error, Kind, Outcome};

/// The largest MTU that a link takes.
pub const LARGEST_MTU: u32 = 65_535;
/// Less is no IPv4 (RFC 791).
const SMALLEST_MTU: u32 = 68;

/// `key=value`.
pub struct Written<'a> {
    text: &'a str,
    pub key: &'a str,
    pub value: &'a str,
}

impl<'a> Written<'a> {
    /// `alone`: the value of an option without one.
    pub fn new(text: &'a str, alone: &'a str) -> Self {
        let (key, value) = text.split_once('=').unwrap_or((text, alone));
        Self { text, key, value }
    }

    /// The value can't be understood.
    pub fn wrong(&self, why: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, format!("cannot understand `-o {}`", self.text)).caused_by(why)
    }

    /// The driver has no such option.
    pub fn unknown(&self, driver: &str, known: &[&str]) -> Error {
        let near = nearest(self.key, known);
        Error::new(Kind::Invalid, format!("the {driver} driver has no option `{}`{near}", self.key))
            .hint(format!("its options are {}", known.join(", ")))
    }

    pub fn boolean(&self) -> Outcome<bool> {
        boolean(self.value).map_err(|_| self.wrong("neither true nor false"))
    }

    /// Bytes.
    pub fn mtu(&self, most: u32) -> Outcome<u32> {
        let mtu = self.value.parse::<u32>().ok().filter(|mtu| (SMALLEST_MTU..=most).contains(mtu));
        mtu.ok_or_else(|| self.wrong(format!("an MTU must be between {SMALLEST_MTU} and {most}")))
    }

    /// One of several by its name.
    pub fn one_of<T: Copy>(&self, all: &[T], name: impl Fn(T) -> &'static str, what: &str) -> Outcome<T> {
        let found = all.iter().copied().find(|one| name(*one) == self.value);
        let names = || all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| self.wrong(format!("known {what} are {}", names())))
    }
}
