//! What must be true of a batch before the next one begins.

use std::fmt;
use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use crate::nodeset::NodeSet;
use crate::outcome::HostResult;
use crate::remote::{Captured, Command};

/// A condition on a batch that has ended.
#[derive(Clone, Debug)]
pub enum Gate {
    /// Every host wrote something to stdout that this expression finds a match
    /// in. Only what is kept of the output is searched; of more than 8 MiB,
    /// pieces of so many whole lines are, each on its own.
    Match(Regex),
    /// This command succeeds on every host of the batch. It is decided by
    /// policy with the action, and recorded as one.
    Probe(Box<Command>),
    /// The action succeeded on every host.
    Rc,
    /// Every host that succeeded wrote the same to stdout, byte for byte, as
    /// the first one of the first batch.
    SameOutput,
}

impl Gate {
    /// Whether it looks at what was written to stdout.
    pub fn needs_output(&self) -> bool {
        matches!(self, Self::Match(_) | Self::SameOutput)
    }

    /// Why the gate stays closed after a batch, if it does. `accepted` is the
    /// first success of the first batch. A probe is not judged here: see
    /// [`judge_probe`].
    pub(super) fn judge(
        &self,
        batch: &[HostResult],
        accepted: Option<&HostResult>,
    ) -> Option<String> {
        let without = |good: &dyn Fn(&HostResult) -> bool| {
            let bad = batch.iter().filter(|result| !good(result));
            let bad: NodeSet = bad.map(|result| result.vm.clone()).collect();
            (!bad.is_empty()).then(|| bad.fold())
        };
        let why = match self {
            Self::Match(regex) => {
                let found =
                    |result: &HostResult| result.stdouts().any(|stdout| matches(regex, stdout));
                let hosts = without(&found)?;
                let cut = batch.iter().filter(|result| result.stdouts().any(Captured::truncated));
                let cut: NodeSet =
                    cut.filter(|result| !found(result)).map(|result| result.vm.clone()).collect();
                let cut = (!cut.is_empty())
                    .then(|| format!(" (of {} only what was kept was searched)", cut.fold()));
                format!("the output of {hosts} does not match {regex}{}", cut.unwrap_or_default())
            }
            Self::Probe(_) => return None,
            Self::Rc => {
                without(&HostResult::success).map(|hosts| format!("{hosts} did not succeed"))?
            }
            Self::SameOutput => {
                let Some(accepted) = accepted else {
                    return Some(format!(
                        "gate {self}: no host succeeded that others could be compared with"
                    ));
                };
                let digests = |result: &HostResult| {
                    result.stdouts().map(|stdout| stdout.sha256().to_owned()).collect::<Vec<_>>()
                };
                let expected = digests(accepted);
                let same = |result: &HostResult| !result.success() || digests(result) == expected;
                without(&same)
                    .map(|hosts| format!("the output of {hosts} differs from {}'s", accepted.vm))?
            }
        };
        Some(format!("gate {self}: {why}"))
    }
}

/// How much is searched at once, and how much of its end is searched again with
/// what follows.
const PIECE: usize = 8 << 20;
const AGAIN: usize = 64 << 10;

/// Whether there is a match in what was kept of a stream, in bounded memory.
fn matches(regex: &Regex, stream: &Captured) -> bool {
    let mut held = Vec::new();
    let searched = stream.pieces(|piece| {
        held.extend_from_slice(piece);
        if held.len() < PIECE {
            return Ok(());
        }
        // A line without end is cut.
        let end = held.iter().rposition(|&byte| byte == b'\n').map_or(held.len(), |at| at + 1);
        if regex.is_match(&held[..end]) {
            return Err(());
        }
        let from = end.saturating_sub(AGAIN);
        let line = held[from..end].iter().position(|&byte| byte == b'\n');
        held.drain(..line.map_or(from, |at| from + at + 1));
        Ok(())
    });
    searched.is_err() || regex.is_match(&held)
}

/// Why the gate stays closed after its probe, if it does.
pub(super) fn judge_probe(probed: &[HostResult]) -> Option<String> {
    let bad = probed.iter().filter(|result| !result.success());
    let bad: NodeSet = bad.map(|result| result.vm.clone()).collect();
    (!bad.is_empty()).then(|| format!("gate probe: it did not succeed on {}", bad.fold()))
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match(_) => f.write_str("match"),
            Self::Probe(_) => f.write_str("probe"),
            Self::Rc => f.write_str("rc"),
            Self::SameOutput => f.write_str("same-output"),
        }
    }
}

/// A text that names no gate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGate {
    /// The expression cannot be read.
    #[error("match: {0}")]
    Regex(String),
    /// There is no such gate.
    #[error("{0:?} is no gate: there are rc, same-output, match:RE and probe:CMD")]
    Unknown(String),
}

/// `rc`, `same-output`, `match:RE` or `probe:CMD`; CMD is a string for the
/// host's `/bin/sh`.
impl FromStr for Gate {
    type Err = InvalidGate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "rc" => Ok(Self::Rc),
            None if text == "same-output" => Ok(Self::SameOutput),
            // As grep has it: ^ and $ are those of a line.
            Some(("match", expression)) if !expression.is_empty() => RegexBuilder::new(expression)
                .multi_line(true)
                .build()
                .map(Self::Match)
                .map_err(|error| InvalidGate::Regex(error.to_string())),
            Some(("probe", command)) if !command.trim().is_empty() => {
                Ok(Self::Probe(Box::new(Command::shell(command))))
            }
            _ => Err(InvalidGate::Unknown(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Status;
    use crate::remote::Capture;

    fn wrote(id: &str, status: Status, stdout: &str) -> HostResult {
        let mut capture = Capture::new(1024);
        capture.push(stdout.as_bytes());
        let result = HostResult::new(id.parse().unwrap(), "x".into(), status);
        HostResult { stdout: capture.finish(), ..result }
    }

    fn judged(gate: &str, batch: &[HostResult], accepted: Option<&HostResult>) -> Option<String> {
        gate.parse::<Gate>().unwrap().judge(batch, accepted)
    }

    #[test]
    fn each_gate() {
        let batch = [
            wrote("vm01", Status::Success, "version 2\n"),
            wrote("vm02", Status::Success, "version 3\n"),
            wrote("vm03", Status::Failed, ""),
        ];
        let why = |gate| judged(gate, &batch, Some(&batch[0])).unwrap_or_default();
        assert_eq!(why("rc"), "gate rc: vm03 did not succeed");
        assert_eq!(why("same-output"), "gate same-output: the output of vm02 differs from vm01's");
        assert_eq!(
            why("match:^version 2$"),
            "gate match: the output of vm[02-03] does not match ^version 2$"
        );
        let good = &batch[..1];
        for gate in ["rc", "same-output", "match:version [0-9]"] {
            assert_eq!(judged(gate, good, good.first()), None, "{gate}");
        }
    }

    #[test]
    fn long_output_is_searched_to_its_end() {
        let mut text = "filler\n".repeat(2 * PIECE / 7);
        // A line that stands on the edge of a piece.
        text.replace_range(PIECE - 20..PIECE + 20, "\nthis line is on the edge of two pieces\n");
        text.push_str("the last line");
        let mut capture = Capture::new(usize::MAX);
        capture.push(text.as_bytes());
        let stream = capture.finish();
        let found = |text: &str| {
            let Gate::Match(regex) = format!("match:{text}").parse().unwrap() else { panic!() };
            matches(&regex, &stream)
        };
        assert!(found("^this line is on the edge of two pieces$"));
        assert!(found(r"^the last line\z"));
        assert!(!found("^he last line"));
        assert!(!found("^ine is on"));
    }

    #[test]
    fn a_gate_says_where_it_stopped() {
        let mut capture = Capture::new(4);
        capture.push(b"version 2");
        let result = wrote("vm01", Status::Success, "");
        let cut = HostResult { stdout: capture.finish(), ..result };
        assert_eq!(
            judged("match:version 2", &[cut], None).unwrap(),
            "gate match: the output of vm01 does not match version 2 \
             (of vm01 only what was kept was searched)"
        );
    }

    #[test]
    fn nothing_is_like_nothing() {
        assert!(judged("same-output", &[wrote("vm01", Status::Failed, "")], None).is_some());
    }

    #[test]
    fn what_is_no_gate() {
        for wrong in ["", "RC", "rc:", "match", "match:", "match:(", "probe", "probe: ", "hold:2m"]
        {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
        }
        assert!(matches!("probe:test -e /a:b".parse(), Ok(Gate::Probe(_))));
    }
}
