//! Every case is put to `ssh` and to us.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use orchestrator::ssh::known_hosts::{HostKeyError, HostName, KnownHosts, Offered};
use russh::keys::{Certificate, PublicKey};

use super::cases::{self, Case, Offer, Verdict};
use super::client::{Judge, fixture};
use super::generate;

#[test]
fn written_cases_are_decided_as_openssh_does() {
    let cases = cases::written();
    assert!(cases.len() >= 60, "{}", cases.len());
    compare(&cases);
}

#[test]
fn generated_files_are_decided_as_openssh_does() {
    let cases = generate::cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    compare(&cases);
}

fn compare(cases: &[Case]) {
    let judge = Judge::new();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    wrong.lock().unwrap().extend(difference(&judge, case));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with the answers to a case, if anything.
fn difference(judge: &Judge, case: &Case) -> Option<String> {
    let files = case.files.iter().enumerate().map(|(index, text)| {
        let file = judge.path(&format!("{}-{index}", case.label.replace([' ', '/'], "_")));
        fs::write(&file, text).unwrap();
        file
    });
    let files: Vec<PathBuf> = files.collect();
    let (theirs, ours) = (judge.ask(case, &files), our_verdict(case, &files));
    let right = match &case.stricter {
        Some(_) => theirs == Verdict::Accepted && ours != Verdict::Accepted,
        None => theirs == ours,
    } && case.expected.is_none_or(|expected| ours == expected);
    let report = || {
        let text = case.files.iter().map(|file| String::from_utf8_lossy(file)).collect::<String>();
        format!("{}: ssh says {theirs:?}, we say {ours:?}, for\n{text}", case.label)
    };
    (!right).then(report)
}

fn our_verdict(case: &Case, files: &[PathBuf]) -> Verdict {
    let name = match &case.alias {
        Some(alias) => HostName::alias(alias),
        None => HostName::new(&case.host, case.port),
    };
    let known = KnownHosts::load(files).unwrap();
    match known.decide(&name.unwrap(), &offered(case.offer), SystemTime::now(), &[]) {
        Ok(_) => Verdict::Accepted,
        Err(HostKeyError::Revoked { .. }) => Verdict::Revoked,
        // OpenSSH has one word for both.
        Err(HostKeyError::Changed { .. } | HostKeyError::UnknownType { .. }) => Verdict::Changed,
        // OpenSSH gives the certificate's fault and then says unknown.
        Err(HostKeyError::Unknown { .. } | HostKeyError::Certificate { .. }) => Verdict::Unknown,
        Err(error @ HostKeyError::PinMismatch { .. }) => panic!("{error}"),
    }
}

fn offered(offer: Offer) -> Offered {
    let read = |name: &str| fs::read_to_string(fixture(name)).unwrap();
    match offer.certificate() {
        Some(cert) => {
            let cert: Certificate = read(&format!("{cert}-cert.pub")).parse().unwrap();
            Offered::Certificate(Box::new(cert))
        }
        None => {
            let key: PublicKey = read(&format!("{}.pub", offer.key())).parse().unwrap();
            Offered::Key(key)
        }
    }
}
