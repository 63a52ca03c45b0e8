//! Where a kill goes: over the connection at hand, or over a second one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::kill::kill;
use super::{Limits, Mark, Reconnect};
use crate::outcome::Kill;
use crate::remote::Command;
use crate::transport::Connection;

/// How long a kill may take beyond its grace: two seconds of KILLs and the way
/// there and back.
const KILL_EXTRA: Duration = Duration::from_secs(8);

/// What became of the tree could not be established.
pub(super) const UNKNOWN: Kill = Kill { ended: None, survivors: None };

/// What a kill needs.
pub(super) struct Stopper<'a> {
    pub(super) connection: &'a dyn Connection,
    pub(super) mark: &'a Mark,
    pub(super) limits: Limits,
    pub(super) reconnect: &'a dyn Reconnect,
    pub(super) command: &'a Command,
}

impl Stopper<'_> {
    /// Ends the tree over this connection, or over a second one if this one
    /// does not serve.
    pub(super) async fn kill(&self, root: u32) -> Kill {
        let allowed = self.limits.grace + KILL_EXTRA;
        let run_as = self.command.run_as.as_ref();
        let over = |connection: Arc<dyn Connection>| async move {
            let killing = kill(&*connection, self.mark, root, self.limits.grace, run_as);
            timeout(allowed, killing).await.ok()?.ok()
        };
        if self.connection.is_open() {
            let killing = kill(self.connection, self.mark, root, self.limits.grace, run_as);
            if let Ok(Ok(kill)) = timeout(allowed, killing).await
                && kill.ended.is_some()
            {
                return kill;
            }
        }
        let second = timeout(allowed, self.reconnect.reconnect()).await.ok().flatten();
        let killed = match second {
            Some(connection) => over(connection).await,
            None => None,
        };
        killed.unwrap_or(UNKNOWN)
    }
}
