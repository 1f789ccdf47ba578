//! Numbers for Prometheus: what netd counts, and how it hands that out. docs/metrics.md lists them.
//!
//! | file | what |
//! |---|---|
//! | [`families`] | all metrics by name, with their help |
//! | [`counters`] | what is counted while it happens: relaxed atomics, shared by all threads |
//! | [`passed`] | what passed a network, from the counters of links that come and go (pure) |
//! | [`text`] | numbers as text, for Prometheus and as OpenMetrics has it (pure) |
//! | [`request`] | what a scrape asks for, out of the bytes of its request (pure) |
//! | [`serve`] | the socket: few connections, each with a limit on its size and its time |
//!
//! What is only looked at, and who answers a scrape: `daemon::metrics`.

pub mod counters;
pub mod families;
pub mod passed;
pub mod request;
pub mod serve;
pub mod text;

pub use counters::Metrics;
