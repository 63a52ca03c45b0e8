//! Reading ahead.
//!
//! The SSH library asks for four bytes and then for the rest of a packet.
//! Asking the kernel for as much as there is, and giving the library its pieces
//! from that, costs a fraction of the system calls.

use tokio::io::ReadBuf;

/// What a connection holds on to that has nothing to say.
const LEAST: usize = 4 << 10;

/// As much as is read at once: two of the longest packets.
const MOST: usize = 64 << 10;

/// What was read and not yet asked for.
#[derive(Default)]
pub(super) struct Intake {
    bytes: Vec<u8>,
    given: usize,
    filled: usize,
}

impl Intake {
    /// Whether everything was given.
    pub(super) fn is_empty(&self) -> bool {
        self.given == self.filled
    }

    /// Room for what is read next. It grows while there is more than it takes,
    /// and shrinks when there is little: many connections wait, few are busy.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let size = match self.filled {
            filled if filled == self.bytes.len() => (2 * filled).clamp(LEAST, MOST),
            filled if filled < LEAST => LEAST,
            _ => self.bytes.len(),
        };
        if size != self.bytes.len() {
            self.bytes = vec![0; size];
        }
        &mut self.bytes
    }

    /// Notes that the room now holds so many bytes; whether it was more than
    /// enough for all there is.
    pub(super) fn fill(&mut self, received: usize) -> bool {
        (self.given, self.filled) = (0, received);
        received < self.bytes.len()
    }

    /// Gives as much as there is, or as is asked for; returns how much.
    pub(super) fn give(&mut self, buf: &mut ReadBuf<'_>) -> usize {
        let given = (self.filled - self.given).min(buf.remaining());
        buf.put_slice(&self.bytes[self.given..self.given + given]);
        self.given += given;
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads so many bytes, and asks for all of them.
    fn read(intake: &mut Intake, received: usize) -> usize {
        let room = intake.room().len();
        let received = received.min(room);
        intake.fill(received);
        let mut bytes = vec![0; received];
        assert_eq!(intake.give(&mut ReadBuf::new(&mut bytes)), received);
        assert!(intake.is_empty());
        room
    }

    #[test]
    fn pieces_come_in_order() {
        let mut intake = Intake::default();
        assert!(intake.is_empty());
        intake.room()[..6].copy_from_slice(b"abcdef");
        assert!(intake.fill(6), "there is no more");
        let mut pieces = Vec::new();
        while !intake.is_empty() {
            let mut piece = [0; 4];
            let mut buf = ReadBuf::new(&mut piece);
            intake.give(&mut buf);
            pieces.push(String::from_utf8_lossy(buf.filled()).into_owned());
        }
        assert_eq!(pieces, ["abcd", "ef"]);
    }

    #[test]
    fn it_is_as_large_as_there_is_to_read() {
        let mut intake = Intake::default();
        let rooms: Vec<usize> = (0..7).map(|_| read(&mut intake, usize::MAX) >> 10).collect();
        assert_eq!(rooms, [4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(read(&mut intake, 20 << 10) >> 10, 64);
        assert_eq!(read(&mut intake, 20) >> 10, 64);
        assert_eq!(read(&mut intake, 20) >> 10, 4, "it has nothing more to say");
        assert!(!intake.fill(LEAST), "there may be more");
    }
}
