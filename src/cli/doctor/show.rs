//! What people see of it.

use std::io::{self, Write};

use crate::doctor::{Diagnosis, Finding, Stage, Verdict};
use crate::nodeset::NodeSet;
use crate::report::{self, Palette};

/// One host in full; of several each in a line, what is wrong, and what they
/// have in common.
pub(super) fn show(
    out: &mut dyn Write,
    diagnoses: &[Diagnosis],
    palette: Palette,
) -> io::Result<()> {
    let width = diagnoses.iter().map(|it| it.vm.as_str().len()).max().unwrap_or(0);
    for diagnosis in diagnoses {
        line(out, diagnosis, width, palette)?;
        let all = diagnoses.len() == 1;
        let findings = diagnosis.findings.iter().filter(|it| all || it.verdict > Verdict::Ok);
        for finding in findings {
            stage(out, finding, palette)?;
        }
    }
    if diagnoses.len() > 1 {
        let mut first = true;
        for (note, verdict, hosts) in in_common(diagnoses) {
            if std::mem::take(&mut first) {
                writeln!(out)?;
            }
            let verdict = coloured(verdict, palette);
            writeln!(out, "{verdict}  {hosts}: {}", words(note))?;
        }
    }
    Ok(())
}

fn line(
    out: &mut dyn Write,
    diagnosis: &Diagnosis,
    width: usize,
    palette: Palette,
) -> io::Result<()> {
    let vm = diagnosis.vm.as_str();
    let verdict = coloured(diagnosis.verdict(), palette);
    if diagnosis.findings.is_empty() {
        let status = diagnosis.login.status;
        let failure = diagnosis.login.failure.as_ref();
        let why = failure.map_or_else(|| status.to_string(), |failure| failure.message.clone());
        return writeln!(out, "{vm:<width$}  {verdict}  {}", plain(&why));
    }
    let asked = diagnosis.findings.iter().filter(|it| it.verdict != Verdict::Skipped).count();
    let gists: Vec<&str> =
        diagnosis.findings.iter().filter_map(|finding| finding.gist.as_deref()).collect();
    let gists = plain(&gists.join(", "));
    let ms = diagnosis.elapsed.as_millis();
    let text = format!("{vm:<width$}  {verdict}  {asked} stages, {ms} ms  {gists}");
    writeln!(out, "{}", text.trim_end())
}

fn stage(out: &mut dyn Write, finding: &Finding, palette: Palette) -> io::Result<()> {
    let width = Stage::ALL.map(|stage| stage.as_str().len()).into_iter().max().unwrap_or(0);
    let (stage, verdict) = (finding.stage.as_str(), coloured(finding.verdict, palette));
    let took = match finding.verdict {
        Verdict::Skipped => String::new(),
        _ => format!("{} ms", finding.took.as_millis()),
    };
    writeln!(out, "  {stage:<width$}  {verdict}  {took:>8}  {}", plain(&finding.text))?;
    match &finding.hint {
        Some(hint) => writeln!(out, "  {:<width$}  hint: {}", "", plain(hint)),
        None => Ok(()),
    }
}

/// Every note with the hosts it is of, the worst first.
fn in_common(diagnoses: &[Diagnosis]) -> Vec<(&'static str, Verdict, NodeSet)> {
    let mut notes: Vec<(&'static str, Verdict, Vec<_>)> = Vec::new();
    for diagnosis in diagnoses {
        for finding in &diagnosis.findings {
            for note in &finding.notes {
                let vm = diagnosis.vm.clone();
                match notes.iter_mut().find(|(known, ..)| known == note) {
                    Some((_, verdict, hosts)) => {
                        *verdict = finding.verdict.max(*verdict);
                        hosts.push(vm);
                    }
                    None => notes.push((note, finding.verdict, vec![vm])),
                }
            }
        }
    }
    notes.sort_by_key(|(_, verdict, _)| std::cmp::Reverse(*verdict));
    let folded =
        |(note, verdict, hosts): (_, _, Vec<_>)| (note, verdict, NodeSet::from_iter(hosts));
    notes.into_iter().map(folded).collect()
}

fn coloured(verdict: Verdict, palette: Palette) -> String {
    let colour = match verdict {
        Verdict::Ok => palette.good,
        Verdict::Fail => palette.bad,
        Verdict::Warn => palette.stderr,
        Verdict::Skipped => "",
    };
    let off = if colour.is_empty() { "" } else { palette.off };
    format!("{colour}{:<7}{off}", verdict.as_str())
}

fn words(note: &str) -> String {
    note.replace('_', " ").replace("post quantum", "post-quantum")
}

/// What a host may have had a say in.
fn plain(text: &str) -> String {
    report::escape(text.replace(['\n', '\t'], " ").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outcome::{HostResult, Status};

    fn finding(stage: Stage, verdict: Verdict, notes: &[&'static str]) -> Finding {
        Finding {
            stage,
            verdict,
            took: Duration::from_millis(7),
            text: "found\x1b[2J".into(),
            hint: (verdict > Verdict::Ok).then(|| "do this".into()),
            gist: Some(stage.as_str().into()),
            notes: notes.to_vec(),
        }
    }

    fn diagnosis(vm: &str, findings: Vec<Finding>) -> Diagnosis {
        let vm: crate::ids::VmId = vm.parse().unwrap();
        let status = if findings.is_empty() { Status::NotStarted } else { Status::Success };
        let login = HostResult::new(vm.clone(), String::new(), status);
        Diagnosis { vm, findings, login, elapsed: Duration::from_millis(41) }
    }

    fn shown(diagnoses: &[Diagnosis]) -> String {
        let mut out = Vec::new();
        show(&mut out, diagnoses, Palette::PLAIN).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_host_in_full() {
        let findings = vec![
            finding(Stage::Tcp, Verdict::Ok, &[]),
            finding(Stage::Sudo, Verdict::Warn, &["x"]),
        ];
        let expected = "vm01  warn     2 stages, 41 ms  tcp, sudo
  tcp         ok           7 ms  found\\x1b[2J
  sudo        warn         7 ms  found\\x1b[2J
              hint: do this
";
        assert_eq!(shown(&[diagnosis("vm01", findings)]), expected);
    }

    #[test]
    fn several_hosts_and_what_they_have_in_common() {
        let well = || finding(Stage::Algorithms, Verdict::Ok, &["no_post_quantum_key_exchange"]);
        let ill = finding(Stage::Hash, Verdict::Fail, &["no_hash_tool"]);
        let diagnoses = [
            diagnosis("vm01", vec![well()]),
            diagnosis("vm02", vec![well(), ill]),
            diagnosis("vm03", vec![]),
        ];
        let expected = "vm01  ok       1 stages, 41 ms  algorithms
vm02  fail     2 stages, 41 ms  algorithms, hash
  hash        fail         7 ms  found\\x1b[2J
              hint: do this
vm03  fail     not_started

fail     vm02: no hash tool
ok       vm[01-02]: no post-quantum key exchange
";
        assert_eq!(shown(&diagnoses), expected);
    }
}
