//! `doctor` on real servers: each stage as it should be, and as it should not.

mod host;
mod login;
mod shown;

use serde_json::Value;

use crate::cli_verbs::world::{Said, World};
use crate::support::Sshd;

/// What is found of a host whose key is known.
fn examine(sshd: &Sshd) -> Examined {
    let world = World::of(sshd);
    world.know(&sshd.known_hosts());
    Examined::of(&world.run(&["doctor", "--json"]))
}

/// The document of one host, and how the program ended.
#[derive(Debug)]
struct Examined {
    code: i32,
    host: Value,
}

impl Examined {
    fn of(said: &Said) -> Self {
        let document = said.json();
        assert_eq!((&document["v"], &document["type"]), (&1.into(), &"doctor".into()));
        let hosts = document["hosts"].as_array().unwrap();
        assert_eq!(hosts.len(), 1, "{document}");
        let host = hosts[0].clone();
        let stages = host["stages"].as_array().unwrap();
        let names: Vec<&str> =
            stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        assert_eq!(names, STAGES);
        for stage in stages {
            let bad = stage["verdict"] == "fail" || stage["verdict"] == "warn";
            assert!(!bad || stage["notes"][0].is_string(), "{stage}");
        }
        Self { code: said.code, host }
    }

    fn stage(&self, stage: &str) -> &Value {
        let at = STAGES.iter().position(|name| *name == stage).unwrap();
        &self.host["stages"][at]
    }

    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// The stage has this verdict, and its sentence these words.
    #[track_caller]
    fn finds(self, stage: &str, verdict: &str, words: &str) -> Self {
        let found = self.stage(stage);
        assert_eq!(found["verdict"], verdict, "{found:#}");
        assert!(found["finding"].as_str().unwrap().contains(words), "{words:?} in {found:#}");
        self
    }

    #[track_caller]
    fn notes(self, stage: &str, note: &str) -> Self {
        let found = self.stage(stage);
        assert!(found["notes"].as_array().unwrap().contains(&note.into()), "{note} in {found:#}");
        self
    }

    #[track_caller]
    fn hints(self, stage: &str, words: &str) -> Self {
        let found = self.stage(stage);
        let hint = found["hint"].as_str().unwrap_or_default();
        assert!(hint.contains(words), "{words:?} in {found:#}");
        self
    }

    /// Every stage but those up to this one was skipped.
    #[track_caller]
    fn ends_at(self, stage: &str) -> Self {
        let at = STAGES.iter().position(|name| *name == stage).unwrap();
        let stages = self.host["stages"].as_array().unwrap();
        assert_eq!(stages[at]["verdict"], "fail", "{self:#?}");
        assert!(stages[..at].iter().all(|it| it["verdict"] == "ok"), "{self:#?}");
        assert!(stages[at + 1..].iter().all(|it| it["verdict"] == "skipped"), "{self:#?}");
        self
    }
}

const STAGES: [&str; 14] = [
    "inventory",
    "name",
    "tcp",
    "banner",
    "algorithms",
    "host_key",
    "auth",
    "exec",
    "sftp",
    "hash",
    "sudo",
    "tmp",
    "clock",
    "disk",
];
