//! Output that was not kept whole: said where nobody can miss it.

use super::escape::one_line;
use super::measure::size;
use crate::outcome::HostResult;
use crate::remote::Cut;

/// A line for each stream, and for each file of output, that is cut.
pub(super) fn cuts(result: &HostResult) -> Vec<String> {
    let mut lines = Vec::new();
    let own = [("stdout".to_owned(), &result.stdout), ("stderr".to_owned(), &result.stderr)];
    let commands = result.commands.iter().zip(1..).flat_map(|(command, number)| {
        let name = |stream| format!("{stream} of command {number}");
        [(name("stdout"), &command.stdout), (name("stderr"), &command.stderr)]
    });
    for (name, stream) in own.into_iter().chain(commands) {
        if let Some(cut) = stream.cut() {
            let (left_out, all) = (size(stream.len() - stream.kept()), size(stream.len()));
            lines.push(format!("{name} is cut: {left_out} of {all} left out; {}", why(cut)));
        }
        if let Some(copy) = stream.copy()
            && let Some(cut) = &copy.cut
        {
            let path = one_line(&copy.path.to_string_lossy());
            lines.push(format!("{path} holds only the beginning of {name}; {}", why(cut)));
        }
    }
    lines
}

fn why(cut: &Cut) -> String {
    match cut {
        Cut::Cap(max) => format!("raise --output-max, which is {}", size(*max)),
        Cut::Disk(why) => format!("the disk took no more: {}", one_line(why)),
        Cut::Memory => "there is no state directory to put more into".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::exited;
    use super::*;
    use crate::remote::{Collector, Keep};

    #[tokio::test]
    async fn the_flag_that_helps_is_named() {
        let mut stdout = Collector::new(4096, Keep::default());
        stdout.push(&[b'x'; 10 * 1024]);
        let stdout = stdout.finish().await;
        let result = HostResult { stdout, ..exited("vm01", 0, b"", b"") };
        assert_eq!(
            cuts(&result),
            ["stdout is cut: 6.0 KiB of 10.0 KiB left out; raise --output-max, which is 4.0 KiB"]
        );
        assert!(cuts(&exited("vm01", 0, b"all", b"")).is_empty());
    }
}
