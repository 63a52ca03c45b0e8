//! What is made of what a host says of itself.

use std::time::Duration;

use super::asking::Answers;
use super::{Finding, Stage};
use crate::outcome::VerifiedBy;

/// How far a clock may be off.
const SKEW_MAX: f64 = 2.0;

/// `/bin/sh` runs our text.
pub(super) fn exec(answers: &Answers) -> Finding {
    let mut parts = vec![answers.get("system").unwrap_or("an unnamed system").to_owned()];
    parts.extend(answers.get("sh").map(|sh| format!("/bin/sh is {sh}")));
    parts.extend(answers.get("login").map(|shell| format!("login shell {shell}")));
    Finding::ok(Stage::Exec, parts.join(", "))
}

/// What proved to compute SHA-256; `None` if nothing does.
pub(super) fn hash(tool: Option<VerifiedBy>) -> Finding {
    match tool {
        Some(tool) => Finding::ok(Stage::Hash, tool.as_str()).gist(tool.as_str()),
        None => Finding::warn(
            Stage::Hash,
            "no_hash_tool",
            "no working sha256sum, shasum or openssl: files are proven by reading them back",
            "install coreutils or openssl there, or see which PATH a login has",
        )
        .gist("no hash tool"),
    }
}

/// By what commands run as another user.
pub(super) fn sudo(answers: &Answers, user: &str) -> Finding {
    let program = answers.get("program");
    let version = answers.get("version").unwrap_or_default();
    let (kind, shown) = match program {
        Some("sudo") if version.starts_with("sudo-rs") => ("sudo-rs", version.to_owned()),
        Some("sudo") => {
            let number = version.strip_prefix("Sudo version ").unwrap_or_default();
            ("sudo", format!("sudo {number}").trim_end().to_owned())
        }
        Some("doas") => ("doas", "doas".to_owned()),
        _ => ("none", String::new()),
    };
    let said = answers.get("said").unwrap_or_default();
    let root = answers.has("root");
    let asks = ["password is required", "uthentication required", "interactive authentication"];
    match kind {
        "none" if root => Finding::ok(Stage::Sudo, format!("none; {user} is root")).gist("root"),
        "none" => Finding::warn(
            Stage::Sudo,
            "no_sudo",
            "neither sudo nor doas",
            "install sudo there if --sudo is to be used",
        )
        .gist("no sudo"),
        "doas" if !root => Finding::warn(
            Stage::Sudo,
            "doas_only",
            "doas, which --sudo does not use",
            "install sudo there if --sudo is to be used",
        )
        .gist("doas"),
        _ if answers.has("may") => {
            Finding::ok(Stage::Sudo, format!("{shown}, no password needed")).gist("sudo")
        }
        _ if asks.iter().any(|words| said.contains(words)) => {
            let text = format!("{shown}, wants a password (-K); what it then allows is not known");
            Finding::ok(Stage::Sudo, text).gist("sudo password").note(true, "sudo_wants_a_password")
        }
        _ => Finding::warn(
            Stage::Sudo,
            "sudo_refuses",
            format!("{shown} refuses: {said}"),
            format!("allow {user} in sudoers if --sudo is to be used"),
        )
        .gist("sudo refuses"),
    }
}

/// Where scripts can lie, and be run as files of their own.
pub(super) fn tmp(answers: &Answers) -> Finding {
    let places: Vec<(&str, &str)> =
        answers.all("place").filter_map(|place| place.split_once(' ')).collect();
    let usable = places.iter().find(|(state, _)| *state == "usable").map(|(_, place)| *place);
    let open = places.iter().find(|(state, _)| *state != "closed").map(|(_, place)| *place);
    let noexec: Vec<&str> =
        places.iter().filter(|(state, _)| *state == "noexec").map(|(_, place)| *place).collect();
    match (usable, open) {
        (Some(usable), _) if noexec.is_empty() => {
            Finding::ok(Stage::Tmp, format!("scripts run in {usable}"))
        }
        (Some(usable), _) => {
            let noexec = noexec.join(" and ");
            let text = format!("scripts run in {usable}; {noexec}: mounted noexec");
            Finding::ok(Stage::Tmp, text).note(true, "noexec")
        }
        (None, Some(open)) => Finding::warn(
            Stage::Tmp,
            "noexec_everywhere",
            format!("scripts lie in {open}, but no program can be executed where they can lie"),
            "name what reads a script (--interpreter), or mount one of the places without noexec",
        ),
        (None, None) => Finding::fail(
            Stage::Tmp,
            "no_place_for_scripts",
            "no place where a script could be put: home, /var/tmp and /tmp are closed to this user",
            Some("give this user a home directory that it can write to".into()),
        ),
    }
}

/// A host's clock, asked between `asked` and `answered` by ours, all counted
/// from 1970.
pub(super) fn clock(answers: &Answers, asked: Duration, answered: Duration) -> Finding {
    let Some((theirs, precision)) = answers.get("clock").and_then(moment) else {
        return Finding::warn(
            Stage::Clock,
            "clock_unknown",
            "the host does not say what time it is",
            "see whether `date +%s` works there",
        );
    };
    // Somewhere between, and nobody knows where.
    let half = (answered.as_secs_f64() - asked.as_secs_f64()).max(0.0) / 2.0;
    let (skew, doubt) = (theirs - (asked.as_secs_f64() + half), half + precision);
    let direction = if skew < 0.0 { "behind" } else { "ahead of" };
    let text = format!("{} {direction} ours, give or take {doubt:.2} s", seconds(skew.abs()));
    if skew.abs() > SKEW_MAX.max(doubt) {
        let hint = "set one of the two right, by chrony or systemd-timesyncd";
        return Finding::warn(Stage::Clock, "clock_skew", text, hint).gist(format!(
            "clock {}{}",
            if skew < 0.0 { "-" } else { "+" },
            seconds(skew.abs())
        ));
    }
    Finding::ok(Stage::Clock, text)
}

/// Seconds since 1970, and how far they may be off. Not every `date` knows parts
/// of a second.
fn moment(text: &str) -> Option<(f64, f64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || whole.len() > 12 {
        return None;
    }
    if digits(part) {
        Some((text.parse().ok()?, 0.0))
    } else {
        Some((whole.parse::<f64>().ok()? + 0.5, 0.5))
    }
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.2} s"),
        s if s < 10_000.0 => format!("{s:.0} s"),
        s if s < 200_000.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn said(lines: &str) -> Answers {
        let text: String = lines.lines().map(|line| format!("orch1 r {line}\n")).collect();
        Answers::read(text.as_bytes(), "r")
    }

    fn shown(finding: &Finding) -> (Verdict, &str, &[&'static str]) {
        (finding.verdict, &finding.text, &finding.notes)
    }

    #[test]
    fn only_marked_lines_are_answers() {
        let answers = Answers::read(b"orch1 x system fake\nmotd\norch1 r system A\x1b[2J\n", "r");
        assert_eq!(answers.get("system"), Some("A[2J"));
        assert!(!answers.is_whole() && said("end").is_whole());
    }

    #[test]
    fn shells() {
        let all = said("system Linux 6.1\nsh dash\nlogin /bin/bash");
        assert_eq!(exec(&all).text, "Linux 6.1, /bin/sh is dash, login shell /bin/bash");
        assert_eq!(exec(&said("system Darwin 24")).text, "Darwin 24");
    }

    #[test]
    fn kinds_of_sudo() {
        use Verdict::{Ok, Warn};
        let real = "program sudo\nversion Sudo version 1.9.13p3\n";
        let rs = "program sudo\nversion sudo-rs 0.2.3\n";
        for (lines, verdict, gist, text) in [
            (format!("{real}may"), Ok, "sudo", "sudo 1.9.13p3, no password needed"),
            (format!("{rs}may"), Ok, "sudo", "sudo-rs 0.2.3, no password needed"),
            (format!("{real}said sudo: a password is required"), Ok, "sudo password", "(-K)"),
            (
                format!("{rs}said sudo: interactive authentication is required"),
                Ok,
                "sudo password",
                "sudo-rs 0.2.3, wants",
            ),
            (format!("{real}said sorry, a tty"), Warn, "sudo refuses", "refuses: sorry, a tty"),
            ("program doas\nmay".to_owned(), Warn, "doas", "doas"),
            (String::new(), Warn, "no sudo", "neither"),
            ("root".to_owned(), Ok, "root", "ops is root"),
        ] {
            let found = sudo(&said(&lines), "ops");
            assert_eq!((found.verdict, found.gist.as_deref()), (verdict, Some(gist)), "{lines}");
            assert!(found.text.contains(text), "{found:?}");
            assert_eq!(found.hint.is_some(), verdict == Warn);
        }
    }

    #[test]
    fn places() {
        use Verdict::{Fail, Ok, Warn};
        let all = "place usable /home/o/.cache/orchestrator\nplace usable /tmp";
        let expected = "scripts run in /home/o/.cache/orchestrator";
        assert_eq!(shown(&tmp(&said(all))), (Ok, expected, &[][..]));
        let some = tmp(&said("place noexec /h\nplace closed /var/tmp\nplace usable /tmp"));
        assert_eq!(shown(&some), (Ok, "scripts run in /tmp; /h: mounted noexec", &["noexec"][..]));
        assert_eq!(tmp(&said("place noexec /h\nplace noexec /tmp")).verdict, Warn);
        assert_eq!(tmp(&said("place closed /h\nplace closed /tmp")).verdict, Fail);
        assert_eq!(tmp(&said("")).verdict, Fail);
    }

    #[test]
    fn clocks() {
        use Verdict::{Ok, Warn};
        let at = |text: &str, asked: f64, answered: f64| {
            let moment = Duration::from_secs_f64;
            clock(&said(&format!("clock {text}")), moment(asked), moment(answered))
        };
        let right = at("1000.25", 1000.0, 1000.5);
        assert_eq!(shown(&right), (Ok, "0.00 s ahead of ours, give or take 0.25 s", &[][..]));
        assert_eq!(at("1000.%N", 1000.0, 1000.5).verdict, Ok);
        let late = at("990.0", 1000.0, 1000.1);
        assert_eq!((late.verdict, late.notes[0]), (Warn, "clock_skew"));
        assert!(late.text.starts_with("10.05 s behind ours"), "{late:?}");
        assert_eq!(at("1000+86400", 1.0, 1.0).notes, ["clock_unknown"]);
        assert_eq!(at("87400.0", 1000.0, 1000.0).gist.as_deref(), Some("clock +24 h"));
        // A host that was that slow may be right.
        assert_eq!(at("1007.9", 1000.0, 1008.0).verdict, Ok);
        for odd in ["", "-5", "9999999999999", "1e9"] {
            assert_eq!(at(odd, 1.0, 1.0).notes, ["clock_unknown"], "{odd}");
        }
    }

    #[test]
    fn tools() {
        assert_eq!(hash(Some(VerifiedBy::Shasum)).text, "shasum");
        assert_eq!(hash(None).notes, ["no_hash_tool"]);
    }
}
