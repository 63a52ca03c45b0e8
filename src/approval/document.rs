//! What stands in a plan file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::action::What;
use super::octets::Octets;
use super::reach::Reach;

/// The form that is written and read.
pub(crate) const FORMAT: &str = "orchestrator-plan/v1";

/// A plan file. Fields that are not known are refused: whoever approves it must
/// not read past them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) format: String,
    /// 32 hexadecimal digits.
    pub(crate) nonce: String,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) expires: String,
    pub(crate) requester: Requester,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The SHA-256 of the policy that decided.
    pub(crate) policy_sha256: Option<String>,
    pub(crate) once: Once,
    pub(crate) action: What,
    pub(crate) hosts: Vec<PlannedOn>,
    pub(crate) way: Way,
    pub(crate) scan: Scan,
    pub(crate) bounds: Bounds,
    pub(crate) rollout: Rollout,
}

/// Who asked for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requester {
    /// The account.
    pub(crate) os_user: Option<String>,
    /// Whom it stands for by the policy.
    pub(crate) principal: Option<String>,
    /// Who they say they are.
    pub(crate) operator: String,
}

/// Where it is written down that it was applied: elsewhere nobody would know.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Once {
    /// The machine's own name.
    pub(crate) node: String,
    /// The directory.
    pub(crate) book: Octets,
}

/// A host, how it is reached, and what was decided.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlannedOn {
    pub(crate) vm: String,
    pub(crate) reach: Reach,
    /// The shell for a shell string, where this host wants another.
    pub(crate) shell: Option<String>,
    pub(crate) rule: String,
    pub(crate) requires_approval: bool,
}

/// What was set in place of the inventory.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Way {
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
    /// By commas; `none` for none.
    pub(crate) proxy_jump: Option<String>,
}

/// Which scripts are searched, and what may be found.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scan {
    pub(crate) mode: String,
    pub(crate) accepted: Vec<String>,
}

/// The bounds of each attempt.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    /// `None` is no limit.
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) grace_ms: u64,
    pub(crate) attempts: u32,
    pub(crate) insist: bool,
    pub(crate) fanout: usize,
    /// Whether files of several hosts go to a directory each.
    pub(crate) single: bool,
}

/// In which steps.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollout {
    pub(crate) canary: Option<usize>,
    pub(crate) batch: Vec<String>,
    pub(crate) wait_ms: u64,
    pub(crate) gates: Vec<Gate>,
    pub(crate) max_fail: Option<String>,
    pub(crate) deadline_ms: Option<u64>,
}

/// What must be true of a batch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Gate {
    Match(String),
    Probe(Box<What>),
    Rc,
    SameOutput,
}

impl Document {
    /// Refuses what no plan of ours could say.
    pub(super) fn check(&self) -> Result<(), String> {
        let digits = self.nonce.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if self.nonce.len() != 32 || !digits {
            return Err("its nonce is not 32 hexadecimal digits".into());
        }
        let names: BTreeSet<&str> = self.hosts.iter().map(|host| host.vm.as_str()).collect();
        match names.len() {
            0 => Err("it names no host".into()),
            count if count < self.hosts.len() => Err("it names a host twice".into()),
            _ => Ok(()),
        }
    }
}
