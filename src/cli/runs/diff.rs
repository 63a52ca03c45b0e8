//! `runs show --diff`: what a fleet said then and now.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use super::{fold, short};
use crate::cli::failure::Failure;
use crate::cli::stdout::print;
use crate::ids::VmId;
use crate::outcome::{HostResult, Status};
use crate::report::{self, Style, commands};
use crate::store::Remembered;

/// How long outputs are compared before the differences may be longer than they
/// need be.
const COMPARE_MAX: Duration = Duration::from_secs(5);

const RULE: &str = "---------------";

/// How hosts ended that changed alike: before and after.
type Endings = [(Status, Option<u32>); 2];

/// Hosts that changed alike.
struct Change<'a> {
    hosts: Vec<VmId>,
    before: &'a HostResult,
    after: &'a HostResult,
}

/// Shows how the results of two runs differ.
pub(super) fn show(
    style: Style,
    (before, old): (&Remembered, &[HostResult]),
    (after, new): (&Remembered, &[HostResult]),
) -> Result<u8, Failure> {
    let then: HashMap<&VmId, &HostResult> = old.iter().map(|result| (&result.vm, result)).collect();
    let now: HashMap<&VmId, &HostResult> = new.iter().map(|result| (&result.vm, result)).collect();
    let gone: Vec<&VmId> = ids(old).filter(|vm| !now.contains_key(vm)).collect();
    let added: Vec<&VmId> = ids(new).filter(|vm| !then.contains_key(vm)).collect();
    let both = new.iter().filter_map(|after| Some((*then.get(&after.vm)?, after)));
    let (same, changed): (Vec<_>, Vec<_>) = both.partition(|(before, after)| alike(before, after));
    let same: Vec<&VmId> = same.into_iter().map(|(_, after)| &after.vm).collect();
    let (first, second) = (short(before.id), short(after.id));
    let until = Instant::now() + COMPARE_MAX;
    print(|out| {
        for change in grouped(changed) {
            write_change(out, &style, &change, (&first, &second), until)?;
        }
        let lines = [
            ("same".to_owned(), same),
            (format!("only in {first}"), gone),
            (format!("only in {second}"), added),
        ];
        for (word, hosts) in lines.iter().filter(|(_, hosts)| !hosts.is_empty()) {
            writeln!(out, "{word}: {} ({})", fold(hosts.iter().copied()), hosts.len())?;
        }
        Ok(())
    })?;
    Ok(0)
}

fn ids(results: &[HostResult]) -> impl Iterator<Item = &VmId> {
    results.iter().map(|result| &result.vm)
}

fn ending(result: &HostResult) -> (Status, Option<u32>) {
    (result.status, result.exit.as_ref().and_then(|exit| exit.code()))
}

/// The digest covers what was not kept, too.
fn alike(before: &HostResult, after: &HostResult) -> bool {
    ending(before) == ending(after) && commands::digest(before) == commands::digest(after)
}

/// Hosts whose endings and outputs changed in the same way, once.
fn grouped<'a>(changed: Vec<(&'a HostResult, &'a HostResult)>) -> Vec<Change<'a>> {
    let mut place: HashMap<(Endings, String, String), usize> = HashMap::new();
    let mut changes: Vec<Change<'a>> = Vec::new();
    for (before, after) in changed {
        let endings = [ending(before), ending(after)];
        let key = (endings, commands::digest(before), commands::digest(after));
        let at = *place.entry(key).or_insert(changes.len());
        match changes.get_mut(at) {
            Some(change) => change.hosts.push(after.vm.clone()),
            None => changes.push(Change { hosts: vec![after.vm.clone()], before, after }),
        }
    }
    changes
}

fn write_change(
    out: &mut dyn Write,
    style: &Style,
    change: &Change<'_>,
    (first, second): (&str, &str),
    until: Instant,
) -> Result<(), Failure> {
    let (label, off) = (style.out.label, style.out.off);
    let hosts = format!("{} ({})", fold(&change.hosts), change.hosts.len());
    let [then, now] = [words(change.before), words(change.after)];
    let ends = if then == now { String::new() } else { format!(": {then}, then {now}") };
    writeln!(out, "{RULE}\n{label}{hosts}{ends}{off}\n{RULE}")?;
    if commands::digest(change.before) != commands::digest(change.after) {
        let (before, after) = ((first, change.before), (second, change.after));
        let text = report::difference(style, before, after, until);
        write!(out, "{text}")?;
    }
    Ok(())
}

/// `failed, exit 3` in one word or two.
fn words(result: &HostResult) -> String {
    match ending(result) {
        (Status::Success, _) => "ok".into(),
        (status, Some(code)) => format!("{status} (exit {code})"),
        (status, None) => status.to_string(),
    }
}
