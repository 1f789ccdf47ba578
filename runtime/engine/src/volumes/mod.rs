//! Volumes: folders that outlive their containers.

mod copy;
pub mod seed;
