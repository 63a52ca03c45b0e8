//! Finding out what stands between us and hosts, on record.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Orchestrator, RequestError, resolve};
use crate::audit::ActionKind;
use crate::doctor::{Diagnosis, Visit, examine};
use crate::ids::RunId;
use crate::inventory::Host;
use crate::nodeset::Selection;
use crate::outcome::{HostResult, Status};
use crate::policy::ActionView;
use crate::run::{audit_failure, tell};

impl Orchestrator {
    /// Examines each host from the inventory to its disks, in the order of the
    /// inventory's names; `max_parallel_commands` hosts at once. Nothing is
    /// changed there. Each examination is recorded as a check is, and policy asks
    /// for what it asks for there.
    ///
    /// # Errors
    /// An unknown name, a host that may not be used, or no host at all. What is
    /// wrong with a host is no error here.
    ///
    /// # Cancel safety
    /// Cancel the token instead: a dropped future leaves attempts on record
    /// without a result, which the next process to open the log closes.
    pub async fn doctor(
        &self,
        hosts: &Selection,
        cancel: &CancellationToken,
    ) -> Result<Vec<Diagnosis>, RequestError> {
        let hosts = resolve(self.inventory(), hosts)
            .inspect_err(|error| self.refuse(ActionKind::Check, error))?;
        if self.inner.closing.is_cancelled() {
            return Err(RequestError::Closing);
        }
        let _running = self.inner.running.token();
        let run = RunId::new();
        let fanout = self.config().remote_execution.max_parallel_commands as usize;
        let hosts = hosts.iter().filter_map(|vm| self.inventory().get(vm));
        let diagnoses = stream::iter(hosts).map(|host| self.diagnose(run, host, cancel));
        Ok(diagnoses.buffered(fanout.max(1)).collect().await)
    }

    async fn diagnose(&self, run: RunId, host: &Host, cancel: &CancellationToken) -> Diagnosis {
        let began = Instant::now();
        let mut login = HostResult::new(host.id.clone(), String::new(), Status::NotStarted);
        let unasked = |login, elapsed| {
            let vm = host.id.clone();
            Diagnosis { vm, findings: Vec::new(), login, elapsed }
        };
        if cancel.is_cancelled() {
            return unasked(login, began.elapsed());
        }
        let access = &self.inner.access;
        let endpoint = access.outside(self.inventory(), host);
        let keyless = access.identity(host).err();
        let decision = self.may(host, ActionView::Check);
        let deed = self.begin_doctor(run, &host.id, endpoint.as_ref().ok(), &decision).await;
        if !decision.allow {
            return unasked(self.deny(deed, &host.id, &decision).await, began.elapsed());
        }
        let deed = match deed {
            Ok(deed) => deed,
            Err(error) => {
                login.failure = Some(audit_failure(&error));
                return unasked(login, began.elapsed());
            }
        };
        let visit = Visit {
            connector: &self.inner.connector,
            sessions: &self.inner.sessions,
            run,
            vm: &host.id,
            os: host.os,
            endpoint: endpoint.as_ref(),
            keyless: keyless.as_ref(),
            connect_timeout: self.config().ssh.connect_timeout,
            cancel,
        };
        let examined = examine(&visit).await;
        let mut diagnosis = Diagnosis {
            vm: host.id.clone(),
            findings: examined.findings,
            login: examined.login,
            elapsed: began.elapsed(),
        };
        diagnosis.login.elapsed = diagnosis.elapsed;
        diagnosis.login.finished_at = Timestamp::now();
        let verdict = diagnosis.verdict().as_str();
        let recorded = deed.end(|record| {
            tell(record, &diagnosis.login);
            record.metadata.insert("verdict".into(), verdict.into());
        });
        if let Err(error) = recorded.await {
            diagnosis.login.failure = Some(audit_failure(&error));
        }
        diagnosis
    }
}
