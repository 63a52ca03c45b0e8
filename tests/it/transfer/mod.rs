//! Moving files, on real sshds.

mod content;
mod digest;
mod disks;
mod elevate;
mod ends;
mod follow;
mod killed;
mod landing;
mod ledger;
mod lies;
mod modes;
mod names;
mod proof;
mod resume;
mod site;
mod sizes;
mod staged;
mod sudo;
mod sweeping;
mod trees;
mod unchanged;

use std::sync::Arc;

use orchestrator::exec::Shell;
use orchestrator::ids::{RunId, VmId};
use orchestrator::remote::RunAs;
use orchestrator::transport::Connection;
use tokio_util::sync::CancellationToken;

use site::Site;

/// Whether a check runs at its full count.
fn soaking() -> bool {
    std::env::var_os("ORCHESTRATOR_SOAK").is_some()
}

/// Runs our own texts over a connection.
struct Texts {
    connection: Arc<dyn Connection>,
    vm: VmId,
    run_as: Option<RunAs>,
    cancel: CancellationToken,
}

impl Texts {
    fn over(connection: &Arc<dyn Connection>) -> Self {
        Self {
            connection: Arc::clone(connection),
            vm: "vm01".parse().unwrap(),
            run_as: None,
            cancel: CancellationToken::new(),
        }
    }

    fn shell(&self) -> Shell<'_> {
        Shell {
            connection: &*self.connection,
            run: RunId::new(),
            vm: &self.vm,
            attempt: 1,
            run_as: self.run_as.as_ref(),
            cancel: &self.cancel,
        }
    }
}
