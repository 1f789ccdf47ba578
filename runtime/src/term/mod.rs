//! Our own terminal or pipes: what is shown on them, what is typed, and what signals mean.

pub mod ask;
pub mod listing;
pub mod outlet;
pub mod progress;
pub mod relay;
pub mod signal;
pub mod sink;
pub mod table;
pub mod terminal;
