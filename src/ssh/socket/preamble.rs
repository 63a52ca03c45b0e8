//! What a server says before it speaks SSH.

use std::io;

use bytes::Bytes;

/// The longest identification line, line end included (RFC 4253, 4.2).
const IDENTIFICATION_MAX: usize = 255;

/// How many bytes may precede the end of the server's identification line.
const PREAMBLE_MAX: usize = 64 * 1024;

/// The lines that a server may send ahead of its identification (RFC 4253,
/// 4.2). One that will never identify itself is refused at once and in words.
#[derive(Default)]
pub(super) struct Preamble {
    line: Vec<u8>,
    seen: usize,
}

impl Preamble {
    /// Takes the next bytes; gives the identification line and what follows it
    /// as soon as the line is whole.
    pub(super) fn read(&mut self, bytes: &[u8]) -> io::Result<Option<Bytes>> {
        for (at, &byte) in bytes.iter().enumerate() {
            self.seen += 1;
            if self.seen > PREAMBLE_MAX {
                return Err(refuse("it sent 64 KiB without an SSH identification line".into()));
            }
            self.line.push(byte);
            let named = self.line.starts_with(b"SSH-");
            if named && self.line.len() > IDENTIFICATION_MAX {
                return Err(refuse("its identification is longer than 255 bytes".into()));
            }
            if byte != b'\n' {
                continue;
            }
            if self.line.contains(&0) {
                return Err(refuse("its identification holds a NUL".into()));
            }
            if self.line.starts_with(b"SSH-2.0-") || self.line.starts_with(b"SSH-1.99-") {
                self.line.extend_from_slice(&bytes[at + 1..]);
                return Ok(Some(std::mem::take(&mut self.line).into()));
            }
            if named || self.line.starts_with(b"HTTP/") {
                let line = String::from_utf8_lossy(&self.line);
                let line: String = line.chars().filter(|c| !c.is_control()).take(60).collect();
                return Err(refuse(format!("it does not speak SSH 2.0 but says {line:?}")));
            }
            self.line.clear();
        }
        Ok(None)
    }
}

fn refuse(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library gets to see of these reads; empty while it is nothing.
    fn read(chunks: &[&[u8]]) -> Result<String, String> {
        let mut preamble = Preamble::default();
        for chunk in chunks {
            if let Some(seen) = preamble.read(chunk).map_err(|error| error.to_string())? {
                return Ok(String::from_utf8_lossy(&seen).into_owned());
            }
        }
        Ok(String::new())
    }

    #[test]
    fn identification_lines() {
        assert_eq!(read(&[b"SSH-2.0-x\r\n"]).unwrap(), "SSH-2.0-x\r\n");
        assert_eq!(read(&[b"SSH-2.0-x\nmore\n"]).unwrap(), "SSH-2.0-x\nmore\n");
        assert_eq!(read(&[b"welcome\r\nSS", b"H-1.99-y\nz"]).unwrap(), "SSH-1.99-y\nz");
        assert_eq!(read(&[b"SSH-2.0-x"]).unwrap(), "");
        assert!(read(&[b"SSH-1.5-old\n"]).unwrap_err().contains("SSH-1.5-old"));
        assert!(read(&[b"HTTP/1.1 400 Bad\r\n"]).unwrap_err().contains("HTTP/1.1"));
        assert!(read(&[b"SSH-2.0-x\0y\r\n"]).unwrap_err().contains("NUL"));
        let long = [&b"SSH-2.0-"[..], &[b'x'; IDENTIFICATION_MAX]].concat();
        assert!(read(&[&long]).unwrap_err().contains("255"));
        assert!(read(&[&vec![b'x'; PREAMBLE_MAX + 1]]).is_err());
    }
}
