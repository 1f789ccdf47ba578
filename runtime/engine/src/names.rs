//! Container ids, and names for containers that were given none.

use netd_api::ContainerId;
use std::io;

/// 32 random bytes as hex.
pub fn new_id() -> io::Result<ContainerId> {
    let mut bytes = [0u8; 32];
    fill(&mut bytes)?;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    hex.parse().map_err(io::Error::other)
}

/// Two words, as Docker's users are used to.
pub fn random_name() -> io::Result<String> {
    let mut bytes = [0u8; 2];
    fill(&mut bytes)?;
    let pick = |words: &[&'static str], byte: u8| words[byte as usize % words.len()];
    Ok(format!("{}_{}", pick(QUALITIES, bytes[0]), pick(THINGS, bytes[1])))
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}

const QUALITIES: &[&str] = &[
    "amber", "ample", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "crisp", "deft", "eager", "early",
    "easy", "fair", "fast", "fine", "firm", "fleet", "fond", "frank", "free", "fresh", "gentle", "glad", "golden",
    "good", "grand", "green", "happy", "hardy", "honest", "humble", "keen", "kind", "light", "lively", "loyal",
    "lucid", "merry", "mild", "neat", "nimble", "noble", "patient", "plain", "polite", "proud", "quick", "quiet",
    "rapid", "ready", "royal", "sharp", "silent", "silver", "steady", "sunny", "swift", "tidy", "trusty", "warm",
    "wise", "witty",
];

const THINGS: &[&str] = &[
    "acorn", "alder", "anchor", "ash", "badger", "beech", "birch", "brook", "cedar", "cliff", "cloud", "comet",
    "coral", "crane", "creek", "delta", "dune", "eagle", "ember", "falcon", "fern", "field", "finch", "fjord",
    "forest", "garnet", "glade", "grove", "harbor", "hazel", "heron", "hill", "island", "juniper", "lake", "lantern",
    "larch", "lark", "lily", "lynx", "maple", "meadow", "moon", "moss", "oak", "orchid", "otter", "pebble", "pine",
    "plover", "quartz", "raven", "reef", "ridge", "river", "robin", "rowan", "sail", "sparrow", "spruce", "star",
    "stone", "willow", "wren",
];
