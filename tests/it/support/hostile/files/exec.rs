//! Commands, run on a copy of the tree by the real `/bin/sh`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use super::lie::Exec;
use super::tree::Tree;

pub(super) fn run(how: Exec, tree: &Tree, line: &[u8], stdin: &[u8]) -> io::Result<Output> {
    let home = tempfile::tempdir()?;
    tree.write_to(home.path())?;
    let mut sh = Command::new("/bin/sh");
    sh.arg("-c").arg(OsStr::from_bytes(line)).current_dir(home.path());
    let mut child =
        sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // It may have ended without reading all.
        let _ = input.write_all(stdin);
    }
    let mut output = child.wait_with_output()?;
    lie(how, &mut output.stdout);
    Ok(output)
}

fn lie(how: Exec, stdout: &mut Vec<u8>) {
    match how {
        Exec::Honest | Exec::Refused | Exec::Hangs => {}
        Exec::Garbage => *stdout = b"\0\xffsha256sum: it is fine, believe me\n".to_vec(),
        Exec::OtherDigest => spoil_hex(stdout, 64),
        Exec::OtherNonce => spoil_hex(stdout, 32),
        Exec::NoEnd => {
            let lines: Vec<&[u8]> = stdout.split_inclusive(|&byte| byte == b'\n').collect();
            *stdout = lines[..lines.len().saturating_sub(1)].concat();
        }
    }
}

/// Changes the first digit of each hexadecimal number of this length.
fn spoil_hex(text: &mut [u8], length: usize) {
    for number in text.split_mut(|byte| !byte.is_ascii_hexdigit()) {
        if number.len() == length {
            number[0] = if number[0] == b'0' { b'1' } else { b'0' };
        }
    }
}
