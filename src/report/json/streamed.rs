//! A stream of output as a JSON string, written piece by piece.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::remote::Captured;

/// How many bytes are made into base64 at once: whole groups of three.
const GROUPS: usize = 3 * 16 * 1024;

/// A stream as text; bytes that are not UTF-8 are replaced.
pub(super) struct Text<'a>(pub(super) &'a Captured);

/// A stream's bytes as base64.
pub(super) struct Base64<'a>(&'a Captured);

impl<'a> Base64<'a> {
    /// Where the text cannot say the bytes exactly.
    pub(super) fn where_needed(stream: &'a Captured) -> Option<Self> {
        let mut held = Vec::new();
        let exact = |_: &str, exact: bool| if exact { Ok(()) } else { Err(()) };
        let valid = stream.pieces(|piece| decode(&mut held, piece, exact));
        (valid.is_err() || !held.is_empty()).then_some(Self(stream))
    }
}

/// Decodes the next bytes. What could be the beginning of a character is held
/// until the next ones come. `each` is told whether a piece is exact.
fn decode<E>(
    held: &mut Vec<u8>,
    piece: &[u8],
    mut each: impl FnMut(&str, bool) -> Result<(), E>,
) -> Result<(), E> {
    held.extend_from_slice(piece);
    // Nearly all output is text, and that is seen much faster as a whole.
    let sound = match std::str::from_utf8(held) {
        Ok(text) => text.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => 0,
    };
    if let Ok(text) = std::str::from_utf8(&held[..sound])
        && sound > 0
    {
        each(text, true)?;
        held.drain(..sound);
        return Ok(());
    }
    let mut chunks = held.utf8_chunks().peekable();
    let mut rest = 0;
    while let Some(chunk) = chunks.next() {
        each(chunk.valid(), true)?;
        let invalid = chunk.invalid();
        let goes_on = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if chunks.peek().is_none() && goes_on {
            rest = invalid.len();
        } else if !invalid.is_empty() {
            each(REPLACED, false)?;
        }
    }
    held.drain(..held.len() - rest);
    Ok(())
}

const REPLACED: &str = "\u{fffd}";

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut held = Vec::new();
        self.0.pieces(|piece| decode(&mut held, piece, |text, _| f.write_str(text)))?;
        if held.is_empty() { Ok(()) } else { f.write_str(REPLACED) }
    }
}

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut held: Vec<u8> = Vec::new();
        self.0.pieces(|piece| {
            held.extend_from_slice(piece);
            let whole = held.len() - held.len() % 3;
            for groups in held[..whole].chunks(GROUPS) {
                f.write_str(&STANDARD.encode(groups))?;
            }
            held.drain(..whole);
            Ok::<_, fmt::Error>(())
        })?;
        f.write_str(&STANDARD.encode(held))
    }
}

// The serializer of serde_json writes these as they come, without a copy.

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::remote::Capture;

    fn captured(bytes: &[u8]) -> Captured {
        let mut capture = Capture::new(usize::MAX);
        capture.push(bytes);
        capture.finish()
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            noise in proptest::collection::vec(any::<u8>(), 0..12),
            text in "[aé日🦀]{0,9}",
            at in 0..40_usize,
        ) {
            // Pieces end at 64 KiB.
            let bytes = [&vec![b'x'; 64 * 1024 - at][..], text.as_bytes(), &noise, text.as_bytes()];
            let bytes = bytes.concat();
            let stream = captured(&bytes);
            prop_assert_eq!(Text(&stream).to_string(), String::from_utf8_lossy(&bytes));
            let base64 = Base64::where_needed(&stream).map(|base64| base64.to_string());
            let exact = std::str::from_utf8(&bytes).is_ok();
            prop_assert_eq!(base64, (!exact).then(|| STANDARD.encode(&bytes)));
        }
    }
}
