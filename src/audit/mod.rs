//! The audit log: every action recorded before it happens, in a chain of
//! records that shows whether one was changed, taken out or put in.
//!
//! Writing begins with [`AuditLog`], reading with [`Reader`], proving with
//! [`verify`]. The format on disk is described in `docs/audit-format.md`.

// What a record says, and how it becomes a line.
mod chain;
mod escape;
mod record;
mod redaction;

// The files.
mod checkpoint;
mod files;
mod keys;
mod lines;
mod live;
mod lock;
mod reserve;
mod resume;
mod segments;

// Writing.
mod batch;
mod error;
mod log;
mod recovery;
mod stamp;
mod store;
mod writer;

// Reading.
mod export;
mod filter;
mod reader;
mod tail;
mod verify;

pub use chain::Defect;
pub use error::AuditError;
pub use export::{Format, UnknownFormat};
pub use filter::Filter;
pub use log::{AuditLog, Options, Receipt};
pub use reader::{Entry, Reader};
pub use record::{
    ActionFacts, ActionKind, ActorFacts, ApproverFacts, DecisionFacts, Event, FileFacts, Kind,
    OpId, PlanFacts, Record, ResultFacts, SshFacts, TargetFacts, TransferFacts,
};
pub use redaction::Redact;
pub use tail::{Follower, tail};
pub use verify::{FirstBad, Verification, VerifyOptions, verify};
