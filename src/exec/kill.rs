//! Ending a command's processes on the host, and counting them.

use std::time::Duration;

use bytes::Bytes;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::mark::Mark;
use super::wrapper::sudo_words;
use crate::outcome::Kill;
use crate::quote;
use crate::remote::{RunAs, SudoPassword};
use crate::transport::{ChannelError, ChannelEvent, Connection, ExecRequest};

/// What runs on the host.
const SCRIPT: &str = include_str!("kill.sh");

/// Says that sudo is satisfied before it reads the script.
const READY: &str = "echo orch1 R >&2; exec /bin/sh -s";

/// sudo's prompt; without the mark, as it is an argument too.
const PROMPT: &str = "orch1 P";

/// How much of the answer is read; it lists at most a few survivors.
const ANSWER_MAX: usize = 64 * 1024;

/// Ends the tree: TERM, then KILL after the grace. The answer says what became
/// of it; `None` fields if there was no answer that could be understood.
///
/// # Cancel safety
/// If the future is dropped, the script may go on by itself on the host.
pub(super) async fn kill(
    connection: &dyn Connection,
    mark: &Mark,
    root: u32,
    grace: Duration,
    run_as: Option<&RunAs>,
) -> Result<Kill, ChannelError> {
    // The mark must not stand in this command's own argument list, where the
    // script would find itself.
    let mut words = vec![b"exec".to_vec()];
    words.extend(run_as.map(|run_as| sudo_words(run_as, PROMPT)).unwrap_or_default());
    words.extend(["/bin/sh", "-c", READY, "sh"].map(|word| word.as_bytes().to_vec()));
    let line: Vec<String> =
        words.iter().map(|word| quote::login_word(word).unwrap_or_default()).collect();
    let grace = grace.as_secs().max(1);
    let script = format!("mark={mark}\nroot={root}\ngrace={grace}\n{SCRIPT}");
    let mut password = run_as.and_then(|run_as| match &run_as.password {
        SudoPassword::Given(secret) => Some(secret),
        SudoPassword::NotNeeded => None,
    });

    let request = ExecRequest { command: line.join(" ").into_bytes(), pty: None };
    let mut channel = connection.exec(request).await?;
    let mut ready = password.is_none();
    if ready {
        channel.input.write(Bytes::from(script.clone())).await?;
        channel.input.eof().await?;
    }
    let mut answer = Vec::new();
    let mut errors = Vec::new();
    // The exit status may come before the last of the output.
    while let Some(event) = channel.output.next().await {
        match event {
            ChannelEvent::Stdout(bytes) if answer.len() < ANSWER_MAX => {
                answer.extend_from_slice(&bytes);
            }
            ChannelEvent::Stderr(bytes) if errors.len() < ANSWER_MAX && !ready => {
                errors.extend_from_slice(&bytes);
                if contains(&errors, PROMPT.as_bytes())
                    && let Some(password) = password.take()
                {
                    let line = Zeroizing::new(format!("{}\n", password.0.expose_secret()));
                    channel.input.write(Bytes::copy_from_slice(line.as_bytes())).await?;
                }
                // Not before: sudo would take it for another password.
                if contains(&errors, b"orch1 R") {
                    ready = true;
                    channel.input.write(Bytes::from(script.clone())).await?;
                    channel.input.eof().await?;
                }
            }
            ChannelEvent::Eof | ChannelEvent::Refused => break,
            _ => {}
        }
        let prompts = errors.windows(PROMPT.len()).filter(|text| *text == PROMPT.as_bytes());
        if prompts.count() > 1 || understand(&answer, mark).ended.is_some() {
            break;
        }
    }
    Ok(understand(&answer, mark))
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

fn understand(answer: &[u8], mark: &Mark) -> Kill {
    let text = String::from_utf8_lossy(answer);
    let prefix = format!("{}K ", mark.header());
    let unknown = Kill { ended: None, survivors: None };
    // A login shell may have left its own line unfinished.
    let report = text.split_once(&prefix).and_then(|(_, report)| report.split_once('\n'));
    let Some((report, _)) = report else { return unknown };
    let mut fields = report.split_whitespace();
    let Some(ended) = fields.next().and_then(|count| count.parse().ok()) else { return unknown };
    let printable = |c: &char| c.is_ascii_graphic();
    let survivors = fields
        .take(64)
        .map(|field| {
            field.chars().filter(printable).take(64).collect::<String>().replacen(':', " ", 1)
        })
        .collect();
    Kill { ended: Some(ended), survivors: Some(survivors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;

    fn mark() -> Mark {
        Mark::new(RunId::new(), &"vm01".parse().unwrap(), 1).unwrap()
    }

    #[test]
    fn answers() {
        let mark = mark();
        let answer =
            |text: &str| understand(text.replace("MARK", &mark.to_string()).as_bytes(), &mark);
        let gone = answer("motd orch1 MARK K 4\n");
        assert_eq!(gone, Kill { ended: Some(4), survivors: Some(vec![]) });
        let left = answer("orch1 MARK K 2 77:dd 78:a:b\n");
        assert_eq!(left.survivors.unwrap(), ["77 dd", "78 a:b"]);
        let unknown = Kill { ended: None, survivors: None };
        assert_eq!(answer("orch1 MARK K unknown\n"), unknown);
        assert_eq!(answer(""), unknown);
        assert_eq!(answer("orch1 MARK K 4"), unknown);
        assert_eq!(answer("orch1 other K 4\n"), unknown);
    }
}
