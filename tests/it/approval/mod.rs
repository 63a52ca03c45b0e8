//! Plans that somebody else must approve: written, signed, applied once.

mod interop;
mod people;
mod refusals;
mod whole;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use orchestrator::audit::Reader;
use serde_json::Value;

use crate::cli_exec::{Lab, Said};
use crate::support::{KeyKind, KeyPair, Sshd, current_user};

/// A lab in which some things need an approval, and two people: alice, who is
/// whoever runs the tests, and bob, who has an account of no importance.
pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) sshd: Sshd,
    /// Their private keys.
    pub(crate) alice: PathBuf,
    pub(crate) bob: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        let sshd = Sshd::start();
        let lab = Lab::one(&sshd);
        let key = |name: &str| {
            let pair = KeyPair::generate(KeyKind::Ed25519);
            (pair.write_to(lab.path(name)), pair.public)
        };
        let ((alice, alice_public), (bob, bob_public)) = (key("alice"), key("bob"));
        let world = Self { lab, sshd, alice, bob };
        world.sign_by(&format!("alice@x {alice_public}\nbob@x {bob_public}\n"));
        let target = world.lab.path("target");
        fs::create_dir(&target).unwrap();
        let policy = format!(
            "operators: {{{}: alice@x, somebody: bob@x}}\n\
             approvals: {{allowed_signers: signers}}\n\
             global: {{allowed_env: [COLOR, TOKEN]}}\n\
             binaries:\n\
             - {{path: /bin/echo, require_approval: true}}\n\
             - {{path: /bin/cat, require_approval: true}}\n\
             - {{path: /usr/bin/printenv}}\n\
             - {{path: /bin/true}}\n\
             transfers: {{upload: [{{path: {}, require_approval: true}}]}}\n",
            current_user(),
            target.display()
        );
        world.policy(&policy)
    }

    /// With this policy.
    pub(crate) fn policy(self, text: &str) -> Self {
        let path = self.lab.path("policy.yml");
        let fresh = !path.exists();
        write(&path, text);
        let section = format!("policy: {{ path: {} }}\nruns: {{", path.display());
        match fresh {
            true => Self { lab: self.lab.set("runs: {", &section), ..self },
            false => self,
        }
    }

    /// With these lines in the allowed_signers.
    pub(crate) fn sign_by(&self, lines: &str) {
        write(&self.lab.path("signers"), lines);
    }

    pub(crate) fn public(&self, who: &str) -> String {
        fs::read_to_string(self.lab.path(&format!("{who}.pub"))).unwrap().trim().to_owned()
    }

    /// `orchestrator plan ARGS --out plan.json`, which must succeed.
    #[track_caller]
    pub(crate) fn plan(&self, args: &[&str]) -> PathBuf {
        let out = self.lab.path("plan.json");
        let _ = fs::remove_file(&out);
        let _ = fs::remove_file(self.signature());
        let mut command = self.lab.verb("plan", ["--out"]);
        Said::from(command.arg(&out).args(args).output().unwrap()).ends(0);
        out
    }

    pub(crate) fn signature(&self) -> PathBuf {
        self.lab.path("plan.json.sig")
    }

    /// Signs plan.json, by bob if nobody else is named.
    pub(crate) fn approve(&self, more: &[&str]) -> Said {
        let mut command = self.lab.verb("approve", ["--yes"]);
        command.arg(self.lab.path("plan.json")).args(more);
        if !more.contains(&"--identity") {
            command.arg("--identity").arg(&self.bob);
        }
        command.output().unwrap().into()
    }

    pub(crate) fn apply(&self, more: &[&str]) -> Said {
        let mut command = self.lab.verb("apply", more.iter().copied());
        command.arg(self.lab.path("plan.json")).output().unwrap().into()
    }

    /// A plan of `echo hello`, approved by bob.
    #[track_caller]
    pub(crate) fn approved(&self) {
        self.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
        self.approve(&[]).ends(0);
    }

    /// Fails unless applying is refused with 7 and this code, and the record says
    /// so, too.
    #[track_caller]
    pub(crate) fn refuses(&self, code: &str, texts: &[&str]) {
        let said = self.apply(&["--json"]);
        said.ends(7).says(texts);
        let document: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(document["error"]["code"], code, "{document}");
        let refused = self.records("plan.refused").pop().unwrap();
        assert_eq!(refused["plan"]["error_class"], code, "{refused}");
    }

    /// Every record of an event.
    pub(crate) fn records(&self, event: &str) -> Vec<Value> {
        let entries = Reader::open(self.lab.audit_path()).unwrap().map(Result::unwrap);
        entries.filter(|entry| entry.event() == event).map(|entry| entry.value().clone()).collect()
    }

    /// Changes a part of plan.json.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.lab.path("plan.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }
}

pub(crate) fn write(path: &std::path::Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
