//! What a record says of a plan file.

use serde::Serialize;

/// A plan file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanFacts {
    /// The digest of its bytes.
    pub sha256: String,
    /// What makes it the only one of its kind.
    pub nonce: String,
    /// The account that asked for it, as the file says.
    pub requester: String,
    /// Who approved it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<ApproverFacts>,
    /// The stable code of why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// That in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Somebody who approved a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApproverFacts {
    /// Who; missing where a signature was made and nobody has judged it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The fingerprint of the key that signed.
    pub key: String,
}
