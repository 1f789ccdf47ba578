//! What was seen of a kernel, as values. Nothing here looks.

/// A rule of nftables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSeen {
    /// `NFPROTO_*`: 1 inet, 2 ip, 5 netdev, 7 bridge, 10 ip6.
    pub family: u8,
    pub table: String,
    pub chain: String,
    /// What the kernel calls it in its chain.
    pub handle: u64,
    pub comment: Option<String>,
    /// The sets that it looks up.
    pub sets: Vec<String>,
    /// Packets and bytes, if it counts them.
    pub counted: Option<(u64, u64)>,
}

/// A family of tables as nft(8) writes it.
pub fn family_name(family: u8) -> &'static str {
    match family {
        2 => "ip",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "inet",
    }
}
