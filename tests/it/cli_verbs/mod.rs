//! The verbs `hosts`, `audit` and `config`, and what all of them do alike, as the
//! program itself runs them.

mod audit_export;
mod audit_read;
mod audit_verify;
mod config_check;
mod config_show;
mod hosts_check;
mod hosts_import;
mod hosts_list;
mod hosts_show;
mod hosts_trust;
mod usage;
pub(crate) mod world;
