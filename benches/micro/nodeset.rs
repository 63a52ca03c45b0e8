//! Sets of ten thousand hosts.

use divan::{Bencher, black_box};
use orchestrator::ids::VmId;
use orchestrator::inventory::{Host, Inventory};
use orchestrator::nodeset::{HostPattern, NodeSet};

const HOSTS: usize = 10_000;

fn ids() -> impl Iterator<Item = VmId> {
    (0..HOSTS).map(|number| format!("vm{number:05}").parse().unwrap())
}

#[divan::bench]
fn read_a_range() -> HostPattern {
    black_box("vm[00000-09999]!vm[00100-00199]").parse().unwrap()
}

#[divan::bench]
fn expand(bencher: Bencher<'_, '_>) {
    let hosts = ids().map(|id| Host::new(id, "192.0.2.1")).collect();
    let inventory = Inventory::new(hosts, Vec::new()).unwrap();
    let pattern: HostPattern = "vm[00000-09999]!vm[00100-00199]".parse().unwrap();
    bencher.bench(|| black_box(&pattern).resolve(&inventory.targets()).unwrap());
}

#[divan::bench]
fn fold(bencher: Bencher<'_, '_>) {
    let set: NodeSet = ids().collect();
    bencher.bench(|| black_box(&set).fold());
}

#[divan::bench]
fn fold_every_third(bencher: Bencher<'_, '_>) {
    let set: NodeSet = ids().step_by(3).collect();
    bencher.bench(|| black_box(&set).fold());
}
