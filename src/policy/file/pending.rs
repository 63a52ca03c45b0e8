//! What a policy can say and this version does not do yet.

/// Fields that are read and checked, and then refused: a policy is never
/// ignored. A field leaves this list in the change that enforces it.
pub(in crate::policy) const NOT_ENFORCED: &[&str] = &[
    "require_approval",
];
