//! Durations and numbers of bytes as people write them.

pub mod duration;
pub mod size;
