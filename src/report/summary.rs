//! The end of a run on several hosts, in a few lines.

use std::collections::BTreeMap;
use std::io;

use super::endings::Endings;
use super::style::{Palette, Style};
use super::{Streams, View, fold, show};
use crate::event::Event;
use crate::ids::{RunId, VmId};
use crate::outcome::{HostResult, Status, tally};
use crate::quote;

/// Shows which hosts ended how on stdout, instead of what they wrote.
#[derive(Debug)]
pub struct Summary {
    endings: Endings,
}

impl Summary {
    /// In this style.
    pub fn new(style: Style) -> Self {
        Self { endings: Endings::new(style) }
    }
}

impl View for Summary {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        self.endings.event(event, to)
    }

    fn finish(
        &mut self,
        run: RunId,
        results: &[HostResult],
        to: &mut Streams<'_>,
    ) -> io::Result<()> {
        let all: Vec<_> = results.iter().collect();
        let elapsed = self.endings.clock.elapsed_s();
        let style = &self.endings.style;
        show(to.out, summarise(run, results, &all, elapsed, style.out))?;
        show(to.err, next_line(run, results, style))
    }
}

/// The listed hosts by how they ended, failures last, and how many ended how.
pub(super) fn summarise(
    run: RunId,
    results: &[HostResult],
    listed: &[&HostResult],
    elapsed_s: f64,
    palette: Palette,
) -> String {
    let groups = groups(listed, palette);
    let hosts = if results.len() == 1 { "host" } else { "hosts" };
    let (counts, total) = (counts(&tally(results), palette), results.len());
    format!("{groups}{counts} · {total} {hosts} in {elapsed_s:.1} s · run {run}\n")
}

/// One command to go on with, if there is one.
pub(super) fn next_line(run: RunId, results: &[HostResult], style: &Style) -> String {
    let next = next_command(run, results, style).filter(|_| !style.quiet);
    next.map(|next| format!("next: {next}\n")).unwrap_or_default()
}

/// Hosts that ended alike: same status, same exit code.
fn groups(listed: &[&HostResult], palette: Palette) -> String {
    let mut groups: BTreeMap<_, Vec<VmId>> = BTreeMap::new();
    for result in listed {
        let rank = Status::ALL.iter().position(|&status| status == result.status);
        groups.entry((rank, ending(result))).or_default().push(result.vm.clone());
    }
    let width = listed.iter().map(|result| result.status.as_str().len()).max().unwrap_or(0);
    let line = |((_, (status, exit)), ids): (&(_, (Status, Option<u32>)), &Vec<VmId>)| {
        let colour = if *status == Status::Success { palette.good } else { palette.bad };
        let exit = exit_note(*exit);
        let (ids, count) = (fold(ids), ids.len());
        format!("{colour}{status:<width$}{} {ids} ({count}){exit}\n", palette.off)
    };
    groups.iter().map(line).collect()
}

/// What makes two ends alike.
pub(super) fn ending(result: &HostResult) -> (Status, Option<u32>) {
    (result.status, result.exit.as_ref().and_then(|exit| exit.code()))
}

/// An exit code, where it says more than the status.
pub(super) fn exit_note(code: Option<u32>) -> String {
    code.filter(|&code| code != 0).map(|code| format!(", exit {code}")).unwrap_or_default()
}

/// How many hosts ended how, those that are well first.
pub(super) fn counts(tally: &[(Status, usize)], palette: Palette) -> String {
    let mut tally = tally.to_vec();
    if tally.first().is_none_or(|(status, _)| *status != Status::Success) {
        tally.insert(0, (Status::Success, 0));
    }
    let count = |(status, count): (Status, usize)| match status {
        Status::Success => format!("{}{count} ok{}", palette.good, palette.off),
        other => format!("{}{count} {other}{}", palette.bad, palette.off),
    };
    tally.into_iter().map(count).collect::<Vec<_>>().join(", ")
}

/// What an operator does next: first see why hosts cannot be reached, then run
/// again where that is a choice: as it was typed, or where that cannot be shown,
/// as it is remembered. A denied action is none, and where the outcome is
/// unknown running again may do the work twice.
fn next_command(run: RunId, results: &[HostResult], style: &Style) -> Option<String> {
    let program = &style.program;
    let ended = |wanted: &[Status]| -> Vec<VmId> {
        let wanted = results.iter().filter(|result| wanted.contains(&result.status));
        wanted.map(|result| result.vm.clone()).collect()
    };
    let unreached =
        ended(&[Status::Unreachable, Status::AuthFailed, Status::HostKeyRejected, Status::Unknown]);
    if !unreached.is_empty() {
        return Some(format!("{program} doctor {}", shell_word(&fold(&unreached))));
    }
    let undone = ended(&[
        Status::Failed,
        Status::Timeout,
        Status::Killed,
        Status::Cancelled,
        Status::ChecksumMismatch,
        Status::RateLimited,
        Status::CircuitOpen,
        Status::NotStarted,
    ]);
    if undone.is_empty() {
        return None;
    }
    let typed = style.rerun.as_ref().map(|rerun| {
        let command = format!("{} {} {}", rerun.before, shell_word(&fold(&undone)), rerun.after);
        command.trim_end().to_owned()
    });
    // By its id: another run may be the last one by then.
    typed.or_else(|| style.remembered.then(|| format!("{program} runs rerun {run} --only failed")))
}

/// Folded ids hold brackets, which a shell would take as a pattern.
fn shell_word(text: &str) -> String {
    String::from_utf8_lossy(&quote::word(text.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{exited, finished, result, started, watch_text};
    use super::super::style::Rerun;
    use super::*;

    fn check(results: Vec<HostResult>, summary: &str, next: Option<&str>) {
        let ids: Vec<_> = results.iter().map(|result| result.vm.to_string()).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let mut kinds = vec![started(&ids)];
        kinds.extend(results.into_iter().map(finished));
        let (out, err) = watch_text(&mut Summary::new(again()), kinds);
        assert_eq!(out, summary);
        assert_eq!(err.lines().find_map(|line| line.strip_prefix("next: ")), next);
    }

    fn again() -> Style {
        let rerun = Rerun { before: "orchestrator exec".into(), after: "--sudo 'a b'".into() };
        Style { rerun: Some(rerun), ..Style::default() }
    }

    #[test]
    fn all_is_well() {
        check(
            vec![exited("vm01", 0, b"a", b""), exited("vm02", 0, b"b", b"")],
            "success vm[01-02] (2)\n2 ok · 2 hosts in 0.0 s\n",
            None,
        );
        check(vec![], "0 ok · 0 hosts in 0.0 s\n", None);
    }

    #[test]
    fn failures_come_last_and_by_exit_code() {
        check(
            vec![
                result("vm01", Status::Timeout),
                exited("vm02", 3, b"", b""),
                exited("vm03", 0, b"", b""),
                exited("vm04", 1, b"", b""),
                exited("vm05", 3, b"", b""),
            ],
            "success vm03 (1)\nfailed  vm04 (1), exit 1\nfailed  vm[02,05] (2), exit 3\n\
             timeout vm01 (1)\n\
             1 ok, 3 failed, 1 timeout · 5 hosts in 0.0 s\n",
            Some("orchestrator exec 'vm[01-02,04-05]' --sudo 'a b'"),
        );
    }

    #[test]
    fn hosts_that_were_not_reached_are_looked_at_first() {
        check(
            vec![exited("vm02", 3, b"", b""), result("vm01", Status::HostKeyRejected)],
            "failed            vm02 (1), exit 3\nhost_key_rejected vm01 (1)\n\
             0 ok, 1 failed, 1 host_key_rejected · 2 hosts in 0.0 s\n",
            Some("orchestrator doctor vm01"),
        );
    }

    #[test]
    fn nothing_is_suggested_that_could_do_harm_or_be_in_vain() {
        let next =
            |results: &[HostResult], style: &Style| next_command(RunId::new(), results, style);
        let unknown = vec![result("vm01", Status::Unknown), result("vm02", Status::Success)];
        assert_eq!(next(&unknown, &again()).as_deref(), Some("orchestrator doctor vm01"));
        let denied = [result("vm01", Status::PolicyDenied)];
        assert_eq!(next(&denied, &again()), None);
        assert_eq!(next(&denied, &Style { remembered: true, ..Style::default() }), None);
        assert_eq!(next(&[result("vm01", Status::Failed)], &Style::default()), None);
    }

    #[test]
    fn what_cannot_be_typed_again_is_remembered() {
        let run = RunId::new();
        let style = Style {
            remembered: true,
            program: "orchestrator --config 'my lab.yml'".into(),
            ..Style::default()
        };
        let next = |status| next_command(run, &[result("vm01", status)], &style).unwrap();
        assert_eq!(
            next(Status::Failed),
            format!("orchestrator --config 'my lab.yml' runs rerun {run} --only failed")
        );
        assert_eq!(next(Status::Unreachable), "orchestrator --config 'my lab.yml' doctor vm01");
    }

    #[test]
    fn a_command_can_be_copied() {
        assert_eq!(shell_word("vm[01-03]"), "'vm[01-03]'");
        assert_eq!(shell_word("vm01,vm02"), "vm01,vm02");
    }
}
