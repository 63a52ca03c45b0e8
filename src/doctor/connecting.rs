//! What a probe says of everything up to the login.

use std::time::Duration;

use super::{Finding, Stage};
use crate::outcome::Failure;
use crate::ssh::known_hosts::Voucher;
use crate::ssh::{Algorithms, Probe, ServerOffer};
use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint, Route};

/// How many weak algorithms are named.
const WEAK_SHOWN: usize = 3;

/// The stages from the name to the login. `obstacle` is what stood in the way,
/// `note` its code.
pub(super) fn connecting(
    probe: &Probe,
    endpoint: &Endpoint,
    obstacle: Option<(&ConnectError, &'static str)>,
) -> Vec<Finding> {
    let mut way = Way { obstacle, ended: probe.ended, since: Duration::ZERO, findings: Vec::new() };
    match &endpoint.route {
        Route::Direct => way.step(Stage::Name, probe.resolved, || name(probe, endpoint)),
        Route::Via(jump) => {
            let why = format!("{} resolves it", jump.label);
            way.findings.push(Finding::skipped(Stage::Name, why));
        }
    }
    way.step(Stage::Tcp, probe.reached, || Finding::ok(Stage::Tcp, reached(endpoint)));
    let banner = probe.identified.as_ref();
    way.step(Stage::Banner, banner.map(|(at, _)| *at), || {
        Finding::ok(Stage::Banner, banner.map_or("", |(_, line)| line.as_str()))
    });
    let mismatch = obstacle.is_some_and(|(error, _)| {
        error.kind == ConnectErrorKind::Algorithms && error.phase == ConnectPhase::Kex
    });
    let offered = probe.offered.as_ref().filter(|_| !mismatch);
    way.step(Stage::Algorithms, offered.map(|(at, _)| *at), || match offered {
        Some((_, offer)) => algorithms(&probe.ours, offer),
        None => Finding::ok(Stage::Algorithms, ""),
    });
    way.step(Stage::HostKey, probe.exchanged, || host_key(probe));
    let proven = probe.proven.as_ref();
    way.step(Stage::Auth, proven.map(|(at, _)| *at), || auth(probe, endpoint));
    way.findings
}

/// The same where there is no way to begin with.
pub(super) fn unreachable(failure: &Failure) -> Vec<Finding> {
    let text = failure.message.clone();
    let mut findings =
        vec![Finding::fail(Stage::Inventory, failure.code, text, failure.hint.clone())];
    let after = Stage::ALL.into_iter().skip(1);
    findings.extend(after.map(|stage| Finding::skipped(stage, NOT_REACHED)));
    findings
}

/// Why a stage was not asked.
pub(super) const NOT_REACHED: &str = "not reached";

/// Stages one after the other, until one fails.
struct Way<'a> {
    obstacle: Option<(&'a ConnectError, &'static str)>,
    ended: Duration,
    since: Duration,
    findings: Vec<Finding>,
}

impl Way<'_> {
    /// The stage is over at `at`, or it is where the way ends.
    fn step(&mut self, stage: Stage, at: Option<Duration>, found: impl FnOnce() -> Finding) {
        let finding = match (at, self.obstacle.take()) {
            (Some(at), obstacle) => {
                self.obstacle = obstacle;
                let took = at.saturating_sub(self.since);
                self.since = at;
                found().took(took)
            }
            (None, Some((error, note))) => {
                let took = self.ended.saturating_sub(self.since);
                Finding::fail(stage, note, error.message.clone(), error.hint.clone()).took(took)
            }
            (None, None) => Finding::skipped(stage, NOT_REACHED),
        };
        self.findings.push(finding);
    }
}

fn name(probe: &Probe, endpoint: &Endpoint) -> Finding {
    let addresses: Vec<String> = probe.addresses.iter().map(ToString::to_string).collect();
    let text = if endpoint.address.parse::<std::net::IpAddr>().is_ok() {
        format!("{} is an address", endpoint.address)
    } else {
        format!("{} is {}", endpoint.address, addresses.join(", "))
    };
    Finding::ok(Stage::Name, text)
}

fn reached(endpoint: &Endpoint) -> String {
    match &endpoint.route {
        Route::Direct => format!("{} answers", endpoint.authority()),
        Route::Via(jump) => format!("{} answers, through {}", endpoint.authority(), jump.label),
    }
}

fn algorithms(ours: &Algorithms, theirs: &ServerOffer) -> Finding {
    let agreed = |ours: &[String], theirs: &[String]| {
        ours.iter().find(|name| theirs.contains(name)).cloned().unwrap_or_default()
    };
    let kex = agreed(&ours.kex, &theirs.kex);
    let cipher = agreed(&ours.ciphers, &theirs.ciphers);
    let mut parts = vec![kex.clone(), cipher.clone()];
    if !cipher.contains("gcm") && !cipher.contains("poly1305") {
        parts.push(agreed(&ours.macs, &theirs.macs));
    }
    let pq = kex.starts_with("mlkem");
    parts.push(match (pq, theirs.is_post_quantum()) {
        (true, _) => "post-quantum".to_owned(),
        (false, true) => "not post-quantum, although the server offers a method for it".to_owned(),
        (false, false) => "not post-quantum".to_owned(),
    });
    if !theirs.strict_kex {
        parts.push("no strict key exchange".to_owned());
    }
    let weak = theirs.weak();
    if !weak.is_empty() {
        let shown = weak.iter().take(WEAK_SHOWN).copied().collect::<Vec<_>>().join(" ");
        let more = weak.len().saturating_sub(WEAK_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("the server also offers the weak {shown}{more}"));
    }
    Finding::ok(Stage::Algorithms, parts.join(", "))
        .gist(if pq { "pq yes" } else { "pq no" })
        .note(!pq, "no_post_quantum_key_exchange")
        .note(!theirs.strict_kex, "no_strict_key_exchange")
        .note(!weak.is_empty(), "weak_algorithms_offered")
}

fn host_key(probe: &Probe) -> Finding {
    let text = probe.accepted.as_ref().map(|accepted| {
        let by = match &accepted.by {
            Voucher::Line(at) => format!("known by {at}"),
            Voucher::Authority(at) => format!("certified by the authority at {at}"),
            Voucher::Pin => "pinned in the inventory".to_owned(),
        };
        format!("{}, {by}", accepted.key)
    });
    Finding::ok(Stage::HostKey, text.unwrap_or_default())
}

fn auth(probe: &Probe, endpoint: &Endpoint) -> Finding {
    let Some((_, proven)) = &probe.proven else { return Finding::ok(Stage::Auth, "") };
    let key = proven.key.as_deref().unwrap_or_default();
    let whence = match (proven.by, &endpoint.identity.key_file) {
        ("agent", _) => "by the ssh-agent's ".to_owned(),
        (_, Some(path)) => format!("by {}, ", path.display()),
        (by, None) => format!("by {by} "),
    };
    Finding::ok(Stage::Auth, format!("{} {whence}{key}", endpoint.user))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::ssh::{Profile, Proven};
    use crate::transport::{Identity, Trust};

    fn endpoint() -> Endpoint {
        Endpoint {
            label: "vm01".into(),
            address: "10.0.0.1".into(),
            port: 22,
            user: "ops".into(),
            route: Route::Direct,
            trust: Trust::default(),
            identity: Identity::default(),
            profile: None,
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn offer() -> ServerOffer {
        ServerOffer {
            kex: names(&["sntrup761x25519-sha512", "curve25519-sha256"]),
            host_keys: names(&["ssh-ed25519"]),
            ciphers: names(&["aes128-ctr", "aes256-gcm@openssh.com"]),
            macs: names(&["hmac-sha1", "hmac-sha2-256"]),
            strict_kex: true,
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn whole() -> Probe {
        Probe {
            ours: Profile::Strong.algorithms(),
            resolved: Some(ms(1)),
            addresses: vec!["10.0.0.1".parse().unwrap()],
            reached: Some(ms(3)),
            identified: Some((ms(7), "SSH-2.0-OpenSSH_9.2p1".into())),
            offered: Some((ms(8), offer())),
            exchanged: Some((ms(20)).to_owned()),
            accepted: None,
            proven: Some((ms(29), Proven { by: "key", key: Some("SHA256:x".into()) })),
            ended: ms(30),
        }
    }

    fn error(phase: ConnectPhase, kind: ConnectErrorKind) -> ConnectError {
        let (message, hint) = ("why".to_owned(), Some("what to do".to_owned()));
        ConnectError { phase, kind, message, hint, host_key: None }
    }

    fn verdicts(probe: &Probe, error: Option<&ConnectError>) -> Vec<Verdict> {
        let findings = connecting(probe, &endpoint(), error.map(|error| (error, "note")));
        let stages: Vec<Stage> = findings.iter().map(|finding| finding.stage).collect();
        assert_eq!(stages, Stage::ALL[1..7]);
        findings.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn every_step_has_its_time() {
        let findings = connecting(&whole(), &endpoint(), None);
        let took: Vec<Duration> = findings.iter().map(|finding| finding.took).collect();
        assert_eq!(took, [ms(1), ms(2), ms(4), ms(1), ms(12), ms(9)]);
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok));
    }

    #[test]
    fn the_way_ends_where_a_step_is_missing() {
        use Verdict::{Fail, Ok, Skipped};
        let mut probe = Probe { proven: None, ..whole() };
        let refused = error(ConnectPhase::Auth, ConnectErrorKind::Auth);
        assert_eq!(verdicts(&probe, Some(&refused)), [Ok, Ok, Ok, Ok, Ok, Fail]);
        probe.exchanged = None;
        let unknown = error(ConnectPhase::HostKey, ConnectErrorKind::HostKeyUnknown);
        assert_eq!(verdicts(&probe, Some(&unknown)), [Ok, Ok, Ok, Ok, Fail, Skipped]);
        let nothing = error(ConnectPhase::Kex, ConnectErrorKind::Algorithms);
        assert_eq!(verdicts(&probe, Some(&nothing)), [Ok, Ok, Ok, Fail, Skipped, Skipped]);
        probe.offered = None;
        probe.identified = None;
        let silent = error(ConnectPhase::Banner, ConnectErrorKind::Deadline);
        let expected = [Ok, Ok, Fail, Skipped, Skipped, Skipped];
        assert_eq!(verdicts(&probe, Some(&silent)), expected);
        probe.reached = None;
        let findings = connecting(&probe, &endpoint(), Some((&silent, "connect_timeout")));
        assert_eq!(findings[1].took, ms(29));
        assert_eq!((&*findings[1].text, findings[1].notes[0]), ("why", "connect_timeout"));
        assert_eq!(findings[1].hint.as_deref(), Some("what to do"));
    }

    #[test]
    fn a_jump_host_resolves_the_name() {
        let jump = Endpoint { label: "vm04".into(), ..endpoint() };
        let behind = Endpoint { route: Route::Via(jump.into()), ..endpoint() };
        let findings = connecting(&Probe { resolved: None, ..whole() }, &behind, None);
        assert_eq!(findings[0].verdict, Verdict::Skipped);
        assert_eq!(findings[0].text, "vm04 resolves it");
        assert_eq!((findings[1].took, findings[1].verdict), (ms(3), Verdict::Ok));
        assert!(findings[1].text.contains("through vm04"));
    }

    #[test]
    fn what_is_agreed_on_and_what_is_remarkable() {
        let ours = Profile::Strong.algorithms();
        let found = algorithms(&ours, &offer());
        let expected = "curve25519-sha256, aes256-gcm@openssh.com, not post-quantum, although the \
                        server offers a method for it, the server also offers the weak hmac-sha1";
        assert_eq!(found.text, expected);
        assert_eq!(found.notes, ["no_post_quantum_key_exchange", "weak_algorithms_offered"]);
        assert_eq!(found.gist.as_deref(), Some("pq no"));
        let best = ServerOffer {
            kex: names(&["mlkem768x25519-sha256"]),
            ciphers: names(&["aes256-ctr"]),
            macs: names(&["hmac-sha2-256"]),
            strict_kex: false,
            ..offer()
        };
        let found = algorithms(&ours, &best);
        let expected = "mlkem768x25519-sha256, aes256-ctr, hmac-sha2-256, post-quantum, no strict \
                        key exchange";
        assert_eq!(found.text, expected);
        assert_eq!(found.notes, ["no_strict_key_exchange"]);
    }
}
