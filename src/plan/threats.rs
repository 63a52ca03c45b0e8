//! What a look into the script of a plan adds to its decisions.

use super::Plan;
use crate::policy::Decision;
use crate::remote::{Action, ScriptSource};
use crate::scan::{self, Finding, Mode, RuleName};

/// What stands before the name of a scan's rule where a decision names it.
pub const RULE_PREFIX: &str = "scan/";

impl Plan {
    /// Searches the bytes that a script's hosts would get, and denies it
    /// everywhere if something of severity high is in them. What is `accepted`
    /// is noted in the decisions and denies nothing.
    ///
    /// A script that is on the host already is not known here, and cannot be
    /// searched. With [`Mode::Off`] the decisions tell that nobody looked.
    pub fn search_script(&mut self, mode: Mode, accepted: &[RuleName]) {
        let Action::Script(script) = &self.action else { return };
        let ScriptSource::Bytes { bytes, .. } = &script.source else { return };
        match (mode, script.id.is_some()) {
            (Mode::Off, _) => return self.note(&format!("{RULE_PREFIX}off: not searched")),
            (Mode::Library, false) => return,
            (Mode::Library, true) | (Mode::All, _) => {}
        }
        let accepts = |finding: &Finding| accepted.iter().any(|rule| rule.as_str() == finding.rule);
        let findings = scan::scan(bytes).into_iter().filter(|finding| finding.severity.blocks());
        let (accepted, threats): (Vec<_>, Vec<_>) = findings.partition(accepts);
        for finding in accepted {
            let Finding { rule, line, .. } = finding;
            self.note(&format!("{RULE_PREFIX}{rule} (overridden): line {line}"));
        }
        if let Some((worst, others)) = threats.split_first() {
            self.block(worst, others);
        }
    }

    fn note(&mut self, note: &str) {
        for host in self.hosts.iter_mut().filter(|host| host.decision.allow) {
            host.decision.notes.push(note.to_owned());
        }
    }

    fn block(&mut self, worst: &Finding, others: &[Finding]) {
        let Finding { rule, severity, line, finds, why } = worst;
        let more = match others.len() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let reason = format!(
            "Security scan detected potential threat: line {line}: {finds} ({severity}){more}"
        );
        let hint = format!(
            "{why}; once somebody has read it: --allow-threat {rule} --reason TEXT, which is recorded"
        );
        for host in self.hosts.iter_mut().filter(|host| host.decision.allow) {
            host.decision = Decision {
                allow: false,
                rule: format!("{RULE_PREFIX}{rule}"),
                reason: Some(reason.clone()),
                hint: Some(hint.clone()),
                token: None,
                ..host.decision.clone()
            };
        }
    }
}
