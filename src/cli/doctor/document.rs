//! What programs see of it; `report::schema` says the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::doctor::{Diagnosis, Finding};
use crate::transport::ConnectionFacts;

pub(super) fn document(diagnoses: &[Diagnosis]) -> Value {
    let mut summary = BTreeMap::new();
    for diagnosis in diagnoses {
        *summary.entry(diagnosis.verdict().as_str()).or_insert(0_u64) += 1;
    }
    json!({
        "v": 1,
        "type": "doctor",
        "summary": summary,
        "hosts": diagnoses.iter().map(host).collect::<Vec<_>>(),
    })
}

fn host(diagnosis: &Diagnosis) -> Value {
    json!({
        "vm_id": diagnosis.vm.as_str(),
        "verdict": diagnosis.verdict(),
        "ms": ms(diagnosis.elapsed),
        "status": diagnosis.login.status,
        "error": diagnosis.login.failure,
        "ssh": diagnosis.login.ssh.as_ref().map(ssh),
        "stages": diagnosis.findings.iter().map(stage).collect::<Vec<_>>(),
    })
}

fn stage(finding: &Finding) -> Value {
    json!({
        "stage": finding.stage,
        "verdict": finding.verdict,
        "ms": ms(finding.took),
        "finding": finding.text,
        "hint": finding.hint,
        "notes": finding.notes,
    })
}

fn ssh(facts: &ConnectionFacts) -> Value {
    json!({
        "kex": facts.kex,
        "host_key": facts.host_key,
        "cipher": facts.cipher,
        "mac": facts.mac,
        "strict_kex": facts.strict_kex,
        "pq": facts.post_quantum,
    })
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Stage, Verdict};
    use crate::outcome::{HostResult, Status};
    use crate::report::check_schema;

    fn finding(stage: Stage, verdict: Verdict) -> Finding {
        Finding {
            stage,
            verdict,
            took: Duration::from_millis(3),
            text: "found".into(),
            hint: (verdict > Verdict::Ok).then(|| "next".into()),
            gist: None,
            notes: vec!["no_hash_tool"],
        }
    }

    fn diagnosis(status: Status, verdict: Verdict) -> Diagnosis {
        let vm: crate::ids::VmId = "vm01".parse().unwrap();
        let findings = Stage::ALL.map(|stage| finding(stage, verdict)).to_vec();
        let mut login = HostResult::new(vm.clone(), String::new(), status);
        login.ssh = (status == Status::Success).then(ConnectionFacts::default);
        Diagnosis { vm, findings, login, elapsed: Duration::ZERO }
    }

    #[test]
    fn every_document_is_as_the_schema_says() {
        let mut all: Vec<Diagnosis> = [Verdict::Skipped, Verdict::Ok, Verdict::Warn, Verdict::Fail]
            .map(|verdict| diagnosis(Status::Success, verdict))
            .to_vec();
        all.extend(Status::ALL.map(|status| diagnosis(status, Verdict::Ok)));
        all.push(Diagnosis { findings: Vec::new(), ..diagnosis(Status::NotStarted, Verdict::Ok) });
        let whole = document(&all);
        check_schema(&whole);
        assert_eq!(whole["summary"], json!({"skipped": 1, "ok": 2, "warn": 1, "fail": 15}));
        check_schema(&document(&[]));
    }
}
