//! How a run on several hosts stands: who is done, who is at work and since
//! when. As a line that is drawn over and over, and as a block for whoever asks.

mod last_line;

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use self::last_line::LastLine;
use super::escape::escape;
use super::fold;
use super::measure::{clock, size, span};
use super::style::Palette;
use crate::event::{Event, EventKind, Progress};
use crate::ids::VmId;
use crate::outcome::Status;

/// A run that is over before that needs no line.
const BEGINNING: SignedDuration = SignedDuration::from_millis(500);

/// Who is at work for less is not slow.
const SLOW: SignedDuration = SignedDuration::from_secs(1);

/// How many of the slowest hosts the block tells.
const SLOWEST_MAX: usize = 8;

/// What is known of a run by its events so far.
#[derive(Debug, Default)]
pub(super) struct Standing {
    began: Option<Timestamp>,
    hosts: usize,
    working: HashMap<VmId, Working>,
    ended: Vec<(VmId, Status)>,
}

/// A host whose turn has come.
#[derive(Debug)]
struct Working {
    since: Timestamp,
    last: LastLine,
    progress: Option<Progress>,
}

impl Standing {
    /// Takes in what happened.
    pub(super) fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::HostFinished(result) => {
                self.working.remove(&result.vm);
                self.ended.push((result.vm.clone(), result.status));
            }
            EventKind::HostStarted { vm } => {
                let last = LastLine::default();
                let working = Working { since: event.at, last, progress: None };
                self.working.insert(vm.clone(), working);
            }
            EventKind::Output { vm, stream, bytes, .. } => {
                if let Some(working) = self.working.get_mut(vm) {
                    working.last.note(*stream, bytes);
                }
            }
            EventKind::Progress { vm, progress } => {
                if let Some(working) = self.working.get_mut(vm) {
                    working.progress = Some(*progress);
                }
            }
            EventKind::RunStarted { hosts, .. } => {
                *self = Self { began: Some(event.at), hosts: hosts.len(), ..Self::default() };
            }
            _ => {}
        }
    }

    /// One line, less wide than the terminal: `12/40 done · 2 failed · 8 running
    /// · slowest vm07 12 s, vm19 9 s · 0:34`. `None` where there is nothing to
    /// wait for.
    pub(super) fn line(&self, width: usize, now: Timestamp, palette: Palette) -> Option<String> {
        let elapsed = now.duration_since(self.began?);
        if self.hosts < 2 || self.ended.len() == self.hosts || elapsed < BEGINNING {
            return None;
        }
        // A character in the last column would make some terminals wrap.
        let room = width.saturating_sub(1);
        let done = format!("{}/{} done", self.ended.len(), self.hosts);
        let failed = self.ended.iter().filter(|(_, status)| *status != Status::Success).count();
        let failed = (failed > 0).then(|| format!("{failed} failed"));
        let running = Some(format!("{} running", self.working.len()));
        let slow: Vec<String> = self
            .slowest()
            .into_iter()
            .take(2)
            .filter(|(_, working)| now.duration_since(working.since) >= SLOW)
            .map(|(vm, working)| format!("{vm} {}", span(since(working.since, now))))
            .collect();
        let both = (!slow.is_empty()).then(|| format!("slowest {}", slow.join(", ")));
        let one = slow.first().map(|slow| format!("slowest {slow}"));
        let time = Some(clock(since(self.began?, now)));
        // What matters least goes first where there is little room.
        let choices = [
            [&failed, &running, &both, &time],
            [&failed, &running, &one, &time],
            [&failed, &running, &None, &time],
            [&failed, &running, &None, &None],
            [&failed, &None, &None, &None],
            [&None, &None, &None, &None],
        ];
        let choice = choices.into_iter().find_map(|parts| {
            let parts = parts
                .into_iter()
                .flatten()
                .fold(done.clone(), |text, part| format!("{text} · {part}"));
            (parts.chars().count() <= room).then_some(parts)
        });
        let mut line = choice.unwrap_or_else(|| done.chars().take(room).collect());
        if let Some(failed) = failed.filter(|_| !palette.bad.is_empty()) {
            let red = format!("{}{failed}{}", palette.bad, palette.off);
            line = line.replacen(&failed, &red, 1);
        }
        Some(line)
    }

    /// Several lines for whoever asks, each clipped to the terminal's width:
    /// counts, who failed, who is at work, and what the slowest of them do.
    pub(super) fn block(&self, width: usize, now: Timestamp, palette: Palette) -> String {
        let began = self.began.unwrap_or(now);
        let (label, bad, off) = (palette.label, palette.bad, palette.off);
        let mut parts = vec![format!("{}/{} done", self.ended.len(), self.hosts)];
        let mut lines = Vec::new();
        for status in Status::ALL {
            let of = |(vm, end): &(VmId, Status)| (*end == status).then(|| vm.clone());
            let hosts: Vec<VmId> = self.ended.iter().filter_map(of).collect();
            match status {
                _ if hosts.is_empty() => {}
                Status::Success => parts.push(format!("{} ok", hosts.len())),
                _ => {
                    parts.push(format!("{} {status}", hosts.len()));
                    lines.push(format!("{bad}{status}{off} {} ({})", fold(&hosts), hosts.len()));
                }
            }
        }
        let slowest = self.slowest();
        let waiting = self.hosts.saturating_sub(self.ended.len() + slowest.len());
        parts.push(format!("{} running", slowest.len()));
        if waiting > 0 {
            parts.push(format!("{waiting} waiting"));
        }
        parts.push(clock(since(began, now)));
        lines.insert(0, format!("{label}status{off}: {}", parts.join(" · ")));
        if !slowest.is_empty() {
            // In the order of their names, not of their slowness.
            let mut ids: Vec<VmId> = slowest.iter().map(|(vm, _)| (*vm).clone()).collect();
            ids.sort();
            lines.push(format!("running {} ({})", fold(&ids), ids.len()));
        }
        let told = slowest.iter().take(SLOWEST_MAX);
        let label_width = told.clone().map(|(vm, _)| vm.as_str().len()).max().unwrap_or(0);
        let spans = told.clone().map(|(_, working)| span(since(working.since, now)));
        let spans: Vec<String> = spans.collect();
        let span_width = spans.iter().map(String::len).max().unwrap_or(0);
        for ((vm, working), span) in told.zip(&spans) {
            let text = format!("  {vm:<label_width$}  {span:>span_width$}  {}", working.doing());
            lines.push(clip(text.trim_end(), width.saturating_sub(1)));
        }
        if let Some(more @ 1..) = slowest.len().checked_sub(SLOWEST_MAX) {
            lines.push(format!("  and {more} more"));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Who is at work, whoever began first before the others.
    fn slowest(&self) -> Vec<(&VmId, &Working)> {
        let mut working: Vec<_> = self.working.iter().collect();
        working.sort_by_key(|(vm, working)| (working.since, *vm));
        working
    }
}

impl Working {
    /// What is known of what it does.
    fn doing(&self) -> String {
        match self.progress {
            Some(Progress { bytes, bytes_total, .. }) => {
                format!("{} of {}", size(bytes), size(bytes_total))
            }
            None => escape(self.last.bytes()).replace(['\t', '\n'], " "),
        }
    }
}

/// Zero where the clock was set back.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

/// At most so many characters; what was cut off is seen to be.
fn clip(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
