//! Answers that are not so. Whatever a host says, a file is in place with the
//! content that is reported, or it is not in place.

use std::fs;
use std::time::Duration;

use orchestrator::outcome::{Effect, FileOutcome, Status, VerifiedBy};
use orchestrator::remote::Transfer;
use orchestrator::transfer::Report;
use sha2::{Digest, Sha256};

use super::{World, codes, file, is_success};
use crate::support::Hostile;
use crate::support::files::{Exec, Files, Lie, Tree};

/// Several packets long, and no two of them alike.
fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(|n| n.to_be_bytes()).take(150_001).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tree() -> Tree {
    Tree::default().dir("d").file("d/a", "first\n").file("d/big", content()).file("d/z", "last\n")
}

/// Fetches a file over an older one that is as long, and one that is new.
async fn pulled(lie: Lie, exec: Exec) -> (World, Report) {
    let world = World::new(tree(), lie, exec);
    fs::create_dir(world.path("target/d")).unwrap();
    let old = vec![b'o'; content().len()];
    fs::write(world.path("target/d/big"), &old).unwrap();
    let before = world.around();
    let report = world.pull("d").await;
    assert_eq!(world.around(), before, "{report:?}");
    assert_eq!(world.local_parts(), [""; 0]);
    for (name, right) in [("a", b"first\n".to_vec()), ("big", content()), ("z", b"last\n".into())] {
        let here = fs::read(world.path("target/d").join(name)).ok();
        let outcome = |file: &&FileOutcome| file.remote == format!("d/{name}").as_str();
        match report.transferred.files.iter().find(outcome) {
            Some(FileOutcome { failure: None, sha256: Some(said), .. }) => {
                assert_eq!(here.as_deref(), Some(&right[..]), "{name}: {report:?}");
                assert_eq!(*said, sha256(&right));
            }
            _ => {
                let old = (name == "big").then(|| old.clone());
                assert_eq!(here, old, "{name}: {report:?}");
                assert!(!is_success(&report));
            }
        }
    }
    (world, report)
}

#[tokio::test]
async fn check_36_an_honest_host_of_the_same_make_is_believed() {
    for (exec, by) in [(Exec::Honest, VerifiedBy::Sha256sum), (Exec::Refused, VerifiedBy::Readback)]
    {
        let (world, report) = pulled(Lie::None, exec).await;
        assert!(is_success(&report), "{report:?}");
        assert!(report.transferred.files.iter().all(|file| file.verified_by == Some(by)));
        fs::write(world.path("new"), content()).unwrap();
        let report = world.push("new", "d/a").await;
        assert!(is_success(&report), "{report:?}");
        assert_eq!(world.host.tree().content("d/a"), Some(&content()[..]));
        assert_eq!(file(&report, "d/a").verified_by, Some(by));
    }
}

#[tokio::test]
async fn check_36_what_is_read_is_right_or_an_error() {
    let size = content().len() as u64;
    for exec in [Exec::Honest, Exec::Refused] {
        for (lie, is_right) in [
            (Lie::Size(size + 1), false),
            (Lie::Size(1 << 63), false),
            (Lie::Size(u64::MAX), false),
            (Lie::EofAt(3), false),
            (Lie::EofAt(70_000), false),
            (Lie::EmptyReads, false),
            (Lie::LongReads, false),
            (Lie::OkInsteadOfData, false),
            (Lie::WrongId, false),
            (Lie::HugePacket, false),
            (Lie::HugeData, false),
            (Lie::Reverses, true),
            (Lie::ShortReads(1000), true),
        ] {
            let (_, report) = pulled(lie.clone(), exec).await;
            assert_eq!(is_success(&report), is_right, "{lie:?} {exec:?}: {report:?}");
        }
    }
    // What the host computes of the whole tells of the reads. One that computes
    // nothing and gives the same wrong bytes twice has those, for all we know.
    for lie in [Lie::AltersReads, Lie::SameHandle] {
        let (_, report) = pulled(lie.clone(), Exec::Honest).await;
        assert_eq!(report.status, Status::ChecksumMismatch, "{lie:?}: {report:?}");
    }
}

#[tokio::test]
async fn check_36_one_byte_at_a_time_is_slow_and_right() {
    let world =
        World::new(Tree::default().file("f", "one by one"), Lie::ShortReads(1), Exec::Honest);
    assert!(is_success(&world.pull("f").await));
    assert_eq!(fs::read(world.path("target/f")).unwrap(), b"one by one");
}

/// A host that tells too small a size gives the beginning, as one whose file
/// grows does; what is reported is exactly what is here.
#[tokio::test]
async fn check_36_of_a_file_that_is_said_to_be_short_the_beginning_is_proven() {
    for exec in [Exec::Honest, Exec::Refused] {
        let world = World::new(tree(), Lie::Size(4), exec);
        let report = world.pull("d/big").await;
        assert!(is_success(&report), "{report:?}");
        let here = fs::read(world.path("target/big")).unwrap();
        assert_eq!(here, content()[..4]);
        let outcome = file(&report, "d/big");
        assert_eq!((outcome.bytes, outcome.sha256.clone()), (4, Some(sha256(&here))));
    }
}

#[tokio::test]
async fn check_36_a_file_without_a_size_is_not_taken_for_an_empty_one() {
    for exec in [Exec::Honest, Exec::Refused] {
        let (_, report) = pulled(Lie::NoSize, exec).await;
        assert_eq!(codes(&report), ["unknown_size"; 3], "{report:?}");
        let world = World::new(tree(), Lie::NoSize, exec);
        let report = world.pull("d/a").await;
        assert_eq!(codes(&report), ["unknown_size"], "{report:?}");
    }
}

#[tokio::test]
async fn check_36_what_is_written_is_right_or_an_error() {
    let size = content().len() as u64;
    for exec in [Exec::Honest, Exec::Refused] {
        for lie in [
            Lie::DropsWrites,
            Lie::DropsWritesAndSays(size),
            Lie::WritesZeros,
            Lie::AltersWrites,
            Lie::DropsSomeWrites,
            Lie::OpenSize(size - 1),
            Lie::OpenSize(u64::MAX),
        ] {
            let world = World::new(tree(), lie.clone(), exec);
            fs::write(world.path("new"), content()).unwrap();
            let report = world.push("new", "d/a").await;
            assert_eq!(report.status, Status::ChecksumMismatch, "{lie:?} {exec:?}: {report:?}");
            assert_eq!(world.host.tree().content("d/a"), Some(&b"first\n"[..]), "{lie:?}");
            assert_eq!(world.host.tree().parts(), [""; 0], "{lie:?}");
        }
        for lie in [Lie::Reverses, Lie::ShortReads(1000)] {
            let world = World::new(tree(), lie.clone(), exec);
            fs::write(world.path("new"), content()).unwrap();
            assert!(is_success(&world.push("new", "d/a").await), "{lie:?}");
            assert_eq!(world.host.tree().content("d/a"), Some(&content()[..]));
        }
    }
}

#[tokio::test]
async fn check_36_a_digest_that_is_not_the_answer_is_none() {
    for exec in [Exec::OtherDigest, Exec::OtherNonce, Exec::Garbage, Exec::NoEnd] {
        let (world, report) = pulled(Lie::None, exec).await;
        fs::write(world.path("new"), content()).unwrap();
        let pushed = world.push("new", "d/a").await;
        let there = world.host.tree();
        assert_eq!(there.parts(), [""; 0], "{exec:?}");
        if exec == Exec::OtherDigest {
            // Believable, and wrong: also of the files that are there already.
            let lied = [report.status, pushed.status];
            assert_eq!(lied, [Status::ChecksumMismatch; 2], "{report:?}");
            assert_eq!(there.content("d/a"), Some(&b"first\n"[..]));
            continue;
        }
        // Nothing was proven there, so it is read back, which is said.
        for report in [report, pushed] {
            assert!(is_success(&report), "{exec:?}: {report:?}");
            let by = |file: &FileOutcome| file.verified_by == Some(VerifiedBy::Readback);
            assert!(report.transferred.files.iter().all(by), "{exec:?}: {report:?}");
        }
        assert_eq!(there.content("d/a"), Some(&content()[..]));
    }
}

/// We know of a rename what the host says. One that says "done" and did
/// nothing would say so of a second look as well; the next push, which compares
/// contents, finds out.
#[tokio::test]
async fn check_36_a_rename_that_is_only_acknowledged_is_found_by_the_next_push() {
    let world = World::new(tree(), Lie::AcksRename, Exec::Honest);
    fs::write(world.path("new"), content()).unwrap();
    for _ in 0..2 {
        let report = world.push("new", "d/a").await;
        assert!(!file(&report, "d/a").unchanged, "{report:?}");
        assert_eq!(world.host.tree().content("d/a"), Some(&b"first\n"[..]));
    }
}

/// A host that begins to compute a digest and says nothing more.
#[tokio::test]
async fn check_36_a_digest_that_never_comes_is_given_up() {
    let world = World::new(tree(), Lie::None, Exec::Hangs);
    let stall = Duration::from_secs(1);
    let pull = Transfer::download("d/a", world.path("target")).stall(stall);
    let report = world.run(&pull).await;
    assert_eq!(report.status, Status::Timeout, "{report:?}");
    assert_eq!(report.failure.unwrap().code, "host_too_slow");
    assert!(!world.path("target/a").exists());
    assert_eq!(world.local_parts(), [""; 0]);
    fs::write(world.path("new"), content()).unwrap();
    let push = Transfer::upload(world.path("new"), "d/a").stall(stall);
    let report = world.run(&push).await;
    assert_eq!(report.status, Status::Timeout, "{report:?}");
    assert_eq!(world.host.tree().content("d/a"), Some(&b"first\n"[..]));
    assert_eq!(world.host.tree().parts(), [""; 0]);
}

/// What was left to be resumed is read back where nothing computes there; with
/// more files than may be open at once, none waits for another.
#[tokio::test]
async fn resuming_many_files_that_are_read_back_comes_to_an_end() {
    let files = |tree: Tree| {
        (0..100).fold(tree.dir("d"), |tree, n| tree.file(format!("d/{n}"), &content()[n..]))
    };
    let mut world = World::new(files(Tree::default()), Lie::EofAt(100_000), Exec::Refused);
    let pull = Transfer::download("d", world.path("target")).recursive(true).resume(true);
    assert_eq!(codes(&world.run(&pull).await).len(), 100);
    assert!(world.local_parts().len() >= 100);
    let tree = files(Tree::default());
    world.host = Hostile::with_files(Files { tree, lie: Lie::None, exec: Exec::Refused });
    let report = world.run(&pull).await;
    assert!(is_success(&report), "{report:?}");
    assert!(report.transferred.files.iter().all(|file| file.resumed_from == 100_000));
    // What the second try of each left is removed by whoever does not resume.
    assert!(is_success(&world.pull("d").await));
    assert_eq!(world.local_parts(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_without_words_has_a_cause_all_the_same() {
    let world = World::new(tree(), Lie::RefusesReads, Exec::Honest);
    let failure = world.pull("d/a").await.failure.unwrap();
    assert_eq!(failure.message, "cannot read d/a: the host refuses, and does not say why");
}

/// A file that may be in place is never said to be absent, however the wait for
/// the host's word ends.
#[tokio::test]
async fn a_rename_without_an_answer_may_have_happened() {
    let push = |world: &World| Transfer::upload(world.path("new"), "d/a");
    let second = Duration::from_secs(1);
    let given_up = |transfer: Transfer| transfer.timeout(second);
    let stalled = |transfer: Transfer| transfer.stall(second);
    let ends: [(&dyn Fn(Transfer) -> Transfer, Status); 2] =
        [(&given_up, Status::Timeout), (&stalled, Status::Unknown)];
    for (bound, status) in ends {
        let world = World::new(tree(), Lie::RenamesInSilence, Exec::Honest);
        fs::write(world.path("new"), content()).unwrap();
        let report = world.run(&bound(push(&world))).await;
        assert_eq!((report.status, report.effect), (status, Effect::Unknown), "{report:?}");
        assert_eq!(world.host.tree().content("d/a"), Some(&content()[..]));
    }
}
