//! All metrics. A name is a promise: what dashboards and alerts ask for stays.

/// What kind of numbers a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows; begins at nothing with each netd.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in seconds, by upper bounds.
    Histogram,
    /// Always one; its labels say it.
    Info,
}

/// Metrics of one name.
#[derive(Debug)]
pub struct Family {
    /// The name without what a counter's, a histogram's or an info's samples have behind it.
    pub name: &'static str,
    /// What kind its numbers are.
    pub kind: Kind,
    /// Its labels, beside a histogram's `le`.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

impl Family {
    /// The name that a query uses.
    pub fn asked(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Info => format!("{}_info", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family =
                Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All of them, in the order of docs/metrics.md.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    BUILD = Info "netd_build" ["version"] "The version of netd.";
    STARTED = Gauge "netd_start_time_seconds" [] "When this netd was started, in seconds since 1970.";
    MEMORY = Gauge "netd_resident_memory_bytes" [] "Memory of netd that is in RAM.";
    DESCRIPTORS = Gauge "netd_open_fds" [] "Descriptors that netd has open.";
    ANSWERS_BY_WRITER = Gauge "netd_writer_up" []
        "1 if the writer answered this scrape in time. While it is 0, what only the writer knows is missing.";
    QUEUE = Gauge "netd_queue_length" [] "Requests and events that wait for the writer.";
    CONTAINERS = Gauge "netd_containers" [] "Containers whose networks netd has made.";
    NETWORKS = Gauge "netd_networks" ["driver"] "Networks by driver.";
    ATTACHMENTS = Gauge "netd_network_containers" ["network"] "Containers on a network.";
    NET_RECEIVED_BYTES = Counter "netd_network_received_bytes" ["network"] "What a network's containers received.";
    NET_RECEIVED_PACKETS = Counter "netd_network_received_packets" ["network"]
        "The same in packets; with segmentation offload one may be larger than the MTU.";
    NET_SENT_BYTES = Counter "netd_network_sent_bytes" ["network"] "What a network's containers sent.";
    NET_SENT_PACKETS = Counter "netd_network_sent_packets" ["network"] "The same in packets.";
    NET_DROPPED_PACKETS = Counter "netd_network_dropped_packets" ["network"]
        "Packets that the links of a network's containers dropped, in either direction.";
    RECEIVED_BYTES = Counter "netd_container_received_bytes" ["container", "network"]
        "What a container received, by network; of the first 256 places alone.";
    RECEIVED_PACKETS = Counter "netd_container_received_packets" ["container", "network"] "The same in packets.";
    SENT_BYTES = Counter "netd_container_sent_bytes" ["container", "network"] "What a container sent, likewise.";
    SENT_PACKETS = Counter "netd_container_sent_packets" ["container", "network"] "The same in packets.";
    LEFT_OUT = Gauge "netd_container_series_left_out" []
        "Places on networks that have no numbers of their own, since there are more than 256.";
    RULE_PACKETS = Counter "netd_rule_dropped_packets" ["chain", "rule"]
        "Packets that rules of table `inet rcr` dropped, by the rule's comment. Begins anew when the table is written again.";
    RULE_BYTES = Counter "netd_rule_dropped_bytes" ["chain", "rule"] "The same in bytes.";
    FLOWS = Gauge "netd_conntrack_entries" [] "Flows that the host tracks, those of others too.";
    MOST_FLOWS = Gauge "netd_conntrack_limit" [] "The most flows that the host can track.";
    QUERIES = Counter "netd_dns_queries" ["source", "answer"]
        "Answers to containers' questions: from what netd knows (`local`), or from outside and its cache (`forwarded`).";
    ATTACH = Histogram "netd_attach_seconds" []
        "From a container's request for its networks to the answer, the wait for the writer included.";
    ATTACH_FAILED = Counter "netd_attach_failures" [] "Requests of the same that failed.";
    STORE = Histogram "netd_store_write_seconds" ["durability"]
        "Transactions of netd's own store: `durable` ones waited for the disk.";
    STORE_FAILED = Counter "netd_store_failures" [] "Transactions that the disk did not take.";
    DEBTS = Gauge "netd_debts" [] "Journals of which something could not be undone yet.";
    REPAIRS = Counter "netd_repairs" ["what"] "What others took away and netd made again: `network` or `table`.";
    STORE_UP = Gauge "netd_cluster_store_up" [] "1 if the cluster's store answers. Only on hosts of a cluster.";
    HOSTS = Gauge "netd_cluster_hosts" ["state"] "The other hosts of the cluster: `alive` or `silent`.";
}
