//! What stands between us and a host: one probe, stage by stage, each with its
//! time, what was found, and the next step where something is wrong.
//!
//! [`examine`] asks; what is made of the answers is pure and beside it:
//! `connecting.rs` for everything up to the login, `answers.rs` for what the
//! host says of itself. Nothing is changed on a host.

mod answers;
mod asking;
mod connecting;
mod examine;
mod finding;
mod patient;
mod space;

use std::time::Duration;

use serde::Serialize;

pub use examine::{Examined, Visit, examine};
pub use finding::Finding;

use crate::ids::VmId;
use crate::outcome::{HostResult, Status};

/// One step on the way from the inventory to a host that can be worked with, in
/// their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// What the inventory says of it.
    Inventory,
    /// Its name becomes addresses.
    Name,
    /// One of them is reached.
    Tcp,
    /// The server identifies itself (RFC 4253, 4.2).
    Banner,
    /// What it offers, against what we require.
    Algorithms,
    /// It proves which host it is.
    HostKey,
    /// We prove who we are.
    Auth,
    /// Its login shell runs a text of ours.
    Exec,
    /// It moves files, and how.
    Sftp,
    /// What computes SHA-256 there.
    Hash,
    /// Whether, and by what, commands run as another user.
    Sudo,
    /// Where scripts can lie and be run.
    Tmp,
    /// How far its clock is from ours.
    Clock,
    /// What its disks have left.
    Disk,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 14] = [
        Self::Inventory,
        Self::Name,
        Self::Tcp,
        Self::Banner,
        Self::Algorithms,
        Self::HostKey,
        Self::Auth,
        Self::Exec,
        Self::Sftp,
        Self::Hash,
        Self::Sudo,
        Self::Tmp,
        Self::Clock,
        Self::Disk,
    ];

    /// The name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::Banner => "banner",
            Self::Algorithms => "algorithms",
            Self::HostKey => "host key",
            Self::Auth => "auth",
            Self::Exec => "exec",
            Self::Sftp => "sftp",
            Self::Hash => "hash",
            Self::Sudo => "sudo",
            Self::Tmp => "tmp",
            Self::Clock => "clock",
            Self::Disk => "disk",
        }
    }
}

/// What is thought of a stage, or of a host; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was not asked, because of something before it.
    Skipped,
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}

impl Verdict {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found out about one host.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The host.
    pub vm: VmId,
    /// One for each stage, in their order.
    pub findings: Vec<Finding>,
    /// How reaching it ended, as a check of it would have: what was negotiated,
    /// or what stood in the way.
    pub login: HostResult,
    /// From the first stage to the end of the last.
    pub elapsed: Duration,
}

impl Diagnosis {
    /// The worst of the stages; what did not come to a login is no better than
    /// `fail`.
    pub fn verdict(&self) -> Verdict {
        if self.login.status != Status::Success {
            return Verdict::Fail;
        }
        let verdicts = self.findings.iter().map(|finding| finding.verdict);
        verdicts.max().unwrap_or(Verdict::Fail)
    }

    /// What was found at a stage.
    pub fn at(&self, stage: Stage) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.stage == stage)
    }

    /// This host as the result of an action that asks for a healthy host:
    /// `failed` if something is wrong with it after the login.
    pub fn result(&self, warnings_count: bool) -> HostResult {
        let bad = match self.verdict() {
            Verdict::Fail => true,
            Verdict::Warn => warnings_count,
            Verdict::Ok | Verdict::Skipped => false,
        };
        let mut result = self.login.clone();
        if bad && result.status == Status::Success {
            result.status = Status::Failed;
        }
        result
    }
}
