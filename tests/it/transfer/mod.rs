//! Moving files, on real sshds.

mod digest;
mod elevate;
mod ledger;
mod staged;
mod sudo;

use std::sync::Arc;

use orchestrator::exec::Shell;
use orchestrator::ids::{RunId, VmId};
use orchestrator::remote::RunAs;
use orchestrator::transport::Connection;
use tokio_util::sync::CancellationToken;

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
