//! The mark that one attempt puts on its processes.

use std::fmt;

use crate::hex::random;
use crate::ids::{RunId, VmId};

/// Names a run, a host, an attempt and a random number. It stands in the
/// environment of every process of the attempt as `ORCH_RUN`, and in the lines
/// by which the host speaks to us, which nothing can forge that does not know
/// the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// A new mark.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(run: RunId, vm: &VmId, attempt: u32) -> Result<Self, getrandom::Error> {
        Ok(Self(format!("{run}.{vm}.{attempt}.{}", random()?)))
    }

    /// What our `/bin/sh` writes before each of its messages.
    pub(super) fn header(&self) -> String {
        format!("orch1 {self} ")
    }

    /// What sudo writes when it wants the password.
    pub(super) fn prompt(&self) -> String {
        format!("orch1 {self} P")
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
