//! Real programs, out of images of Debian's packages, used as their users use them.

mod brokers;
mod databases;
mod engines;
mod images;
mod languages;
mod packets;
mod stacks;
mod tools;
mod web;
