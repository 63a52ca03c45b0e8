//! The picture: a bar for each host at work, and one for all.

use std::time::Duration;

use jiff::Timestamp;

use super::pace::Pace;
use crate::event::{Event, EventKind, Progress};
use crate::ids::VmId;
use crate::report::measure::{size, span};

/// How many hosts have a line at most.
const LINES_MAX: usize = 8;

/// A terminal's columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// How far each host has come.
#[derive(Clone, Debug)]
pub(super) struct Bars {
    blocks: bool,
    hosts: Vec<Host>,
    all: Pace,
}

#[derive(Clone, Debug)]
struct Host {
    vm: VmId,
    /// `None` before it is known.
    progress: Option<Progress>,
    ended: bool,
    pace: Pace,
}

/// What a line says, beside its bar.
struct Line<'a> {
    label: &'a str,
    label_width: usize,
    fraction: f64,
    /// The most important first.
    notes: Vec<String>,
}

impl Bars {
    /// With block characters, or with ASCII only.
    pub(super) fn new(blocks: bool) -> Self {
        Self { blocks, hosts: Vec::new(), all: Pace::default() }
    }

    /// Takes in what happened.
    pub(super) fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::HostFinished(result) => {
                self.host(&result.vm, |host| {
                    host.ended = true;
                    if let Some(progress) = &mut host.progress {
                        progress.bytes_total = progress.bytes;
                    }
                });
            }
            EventKind::Progress { vm, progress } => {
                self.host(vm, |host| {
                    host.progress = Some(*progress);
                    host.pace.note(event.at, progress.bytes);
                });
                self.all.note(event.at, self.sum().bytes);
            }
            EventKind::RunStarted { hosts, .. } => {
                let host = |vm: &VmId| Host {
                    vm: vm.clone(),
                    progress: None,
                    ended: false,
                    pace: Pace::default(),
                };
                self.hosts = hosts.iter().map(host).collect();
            }
            _ => {}
        }
    }

    /// The lines to be shown, none as wide as the terminal; empty while nothing
    /// is being moved.
    pub(super) fn draw(&self, terminal: Size, now: Timestamp) -> Vec<String> {
        let active: Vec<(&Host, Progress)> = self
            .hosts
            .iter()
            .filter(|host| !host.ended)
            .filter_map(|host| Some((host, host.progress?)))
            .collect();
        let several = self.hosts.len() > 1;
        // There has to be room for the line above, the sum and the cursor; and for
        // the line that says how several hosts stand.
        let taken = if several { 4 } else { 3 };
        let room = usize::from(terminal.height.saturating_sub(taken)).min(LINES_MAX);
        if active.is_empty() || room == 0 {
            return Vec::new();
        }
        let done = self.hosts.iter().filter(|host| host.ended).count();
        let all = format!("{done} of {} hosts", self.hosts.len());
        let labels = active.iter().take(room).map(|(host, _)| host.vm.as_str().len());
        let label_width = labels.chain(several.then_some(all.len())).max().unwrap_or(0);
        let mut lines: Vec<Line<'_>> = active
            .iter()
            .take(room)
            .map(|(host, progress)| Line {
                label: host.vm.as_str(),
                label_width,
                fraction: fraction(*progress),
                notes: notes(*progress, host.pace.rate(now)),
            })
            .collect();
        if several {
            lines.push(Line { label: &all, label_width, ..self.overall(now) });
        }
        lines.iter().map(|line| self.line(line, terminal.width.into())).collect()
    }

    fn host(&mut self, vm: &VmId, change: impl FnOnce(&mut Host)) {
        if let Some(host) = self.hosts.iter_mut().find(|host| host.vm == *vm) {
            change(host);
        }
    }

    /// What is known of all hosts together.
    fn sum(&self) -> Progress {
        let known = self.hosts.iter().filter_map(|host| host.progress);
        known.fold(Progress::default(), |sum, next| Progress {
            bytes: sum.bytes.saturating_add(next.bytes),
            bytes_total: sum.bytes_total.saturating_add(next.bytes_total),
            files: sum.files.saturating_add(next.files),
            files_total: sum.files_total.saturating_add(next.files_total),
        })
    }

    fn overall(&self, now: Timestamp) -> Line<'static> {
        let of = |host: &Host| match host.progress {
            _ if host.ended => 1.0,
            progress => progress.map_or(0.0, fraction),
        };
        let fractions: f64 = self.hosts.iter().map(of).sum();
        let (sum, rate) = (self.sum(), self.all.rate(now));
        // The totals of hosts whose turn has not come are not known.
        let known = self.hosts.iter().all(|host| host.ended || host.progress.is_some());
        let notes = if known {
            notes(Progress { files_total: 0, ..sum }, rate)
        } else {
            [Some(size(sum.bytes)), rate.map(rate_note)].into_iter().flatten().collect()
        };
        let fraction = fractions / self.hosts.len().max(1) as f64;
        Line { label: "", label_width: 0, fraction, notes }
    }

    /// A line of as many parts as there is room for.
    fn line(&self, line: &Line<'_>, width: usize) -> String {
        // A character in the last column would make some terminals wrap.
        let room = width.saturating_sub(1);
        let percent = (line.fraction * 100.0).clamp(0.0, 100.0) as u64;
        let percent = format!("{percent:>3}%");
        let label = format!("{:<width$}", line.label, width = line.label_width);
        // Its length depends on nothing that changes, so it does not jump.
        let bar = Some((width / 6).min(30))
            .filter(|&bar| bar >= 8 && label.len() + bar + percent.len() + 4 <= room);
        let mut text = match bar {
            Some(bar) => format!("{label}  {}  {percent}", self.bar(line.fraction, bar)),
            None => format!("{label}  {percent}"),
        };
        let mut used = text.chars().count();
        for note in &line.notes {
            if used + 2 + note.len() <= room {
                text += &format!("  {note}");
                used += 2 + note.len();
            }
        }
        if used <= room { text } else { text.chars().take(room).collect() }
    }

    fn bar(&self, fraction: f64, width: usize) -> String {
        let (full, empty) = if self.blocks { ("█", "░") } else { ("#", "-") };
        let filled = ((fraction * width as f64) as usize).min(width);
        full.repeat(filled) + &empty.repeat(width - filled)
    }
}

fn fraction(progress: Progress) -> f64 {
    let (part, whole) = match progress {
        Progress { bytes, bytes_total: 1.., .. } => (bytes, progress.bytes_total),
        // Files may be empty.
        _ => (progress.files, progress.files_total),
    };
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}

fn notes(progress: Progress, rate: Option<f64>) -> Vec<String> {
    let mut notes = vec![format!("{} of {}", size(progress.bytes), size(progress.bytes_total))];
    if let Some(rate) = rate {
        notes.push(rate_note(rate));
        let left = progress.bytes_total.saturating_sub(progress.bytes) as f64 / rate;
        // A year is as good as never.
        if left.is_finite() && left < 365.0 * 86400.0 && left > 0.0 {
            notes.push(format!("{} left", span(Duration::from_secs_f64(left.ceil()))));
        }
    }
    if progress.files_total > 1 {
        notes.push(format!("({} of {} files)", progress.files, progress.files_total));
    }
    notes
}

fn rate_note(rate: f64) -> String {
    format!("{}/s", size(rate as u64))
}
