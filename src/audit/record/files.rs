//! What a record says of the files of a transfer.

use serde::Serialize;

use crate::outcome::VerifiedBy;

/// What became of the files of a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransferFacts {
    /// How many were to be moved.
    pub files: usize,
    /// How many of them had their content already.
    pub unchanged: usize,
    /// How many are not in place.
    pub failed: usize,
    /// How many were left out although they were asked for.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// The bytes of those in place.
    pub bytes: u64,
    /// By what the host proved them.
    pub verified_by: Vec<VerifiedBy>,
    /// The digest of the one file, once it is in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// With several, the digest of what `sha256sum` prints for those in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<String>,
    /// Each file, as far as a record has room.
    pub items: Vec<FileFacts>,
    /// How many files had no room.
    #[serde(skip_serializing_if = "is_zero")]
    pub items_omitted: usize,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// Its path on the host.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest, once it is in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it had its content already.
    pub unchanged: bool,
    /// The stable code of the error, where it is not in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
