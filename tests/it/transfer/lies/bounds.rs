//! Hosts that list without end.

use std::time::{Duration, Instant};

use super::World;
use crate::support::files::{Exec, Lie, Tree};
use crate::support::rss_kib;

/// What a listing may take here, however long it is: what a million honest
/// files take.
const GROWTH_MAX_KIB: u64 = 1024 * 1024;

/// Pulls from a host that lists too much; gives the code of the failure.
async fn ends(lie: Lie) -> &'static str {
    let world = World::new(Tree::default().dir("tree"), lie.clone(), Exec::Refused);
    let (before, started, around) = (rss_kib(), Instant::now(), world.around());
    let report = world.pull("tree").await;
    let (grown, took) = (rss_kib().saturating_sub(before), started.elapsed());
    assert!(grown < GROWTH_MAX_KIB, "{lie:?}: {grown} KiB");
    assert!(took < Duration::from_secs(50), "{lie:?}: {took:?}");
    assert_eq!(world.around(), around);
    let here = std::fs::read_dir(world.path("target")).unwrap().count();
    assert!(report.failure.is_some() && here <= 1, "{lie:?}: {report:?}");
    report.failure.unwrap().code
}

#[tokio::test]
async fn check_34_a_directory_without_end() {
    assert_eq!(ends(Lie::ListsForever).await, "too_many_files");
}

#[tokio::test]
async fn check_34_directories_that_are_in_themselves() {
    assert_eq!(ends(Lie::Forest { dirs: 1, bad: 0 }).await, "suspect_name");
}

#[tokio::test]
async fn check_34_more_directories_than_anybody_has() {
    assert_eq!(ends(Lie::Forest { dirs: 2000, bad: 0 }).await, "too_many_files");
}

#[tokio::test]
async fn check_34_refused_names_count_too() {
    assert_eq!(ends(Lie::Forest { dirs: 16, bad: 2000 }).await, "too_many_files");
}
