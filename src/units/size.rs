//! Numbers of bytes as people write them: `65536`, `10KB`, `64Mi`.

/// Why a text is no number of bytes.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a size: write bytes (65536), or K M G T (thousands), Ki Mi Gi Ti (1024s)")]
pub struct InvalidSize(String);

/// Reads a number of bytes. `K`, `M`, `G` and `T` are powers of 1000, with `i`
/// of 1024; a `B` may follow; case does not matter.
///
/// # Errors
/// If the text is anything else, or above 2^64 - 1.
pub fn parse(text: &str) -> Result<u64, InvalidSize> {
    bytes(text.trim()).ok_or_else(|| InvalidSize(text.into()))
}

/// Writes a number of bytes so that [`parse`] reads it back.
pub fn format(bytes: u64) -> String {
    for (exponent, unit) in [(4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")] {
        let size = 1024u64.pow(exponent);
        if bytes >= size && bytes.is_multiple_of(size) {
            return std::format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (base, prefix) = match unit.strip_suffix('i') {
        Some(prefix) if !prefix.is_empty() => (1024u64, prefix),
        _ => (1000, unit),
    };
    let exponent = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    amount.parse::<u64>().ok()?.checked_mul(base.pow(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected, shown) in [
            ("0", 0, "0"),
            ("65536", 65_536, "64Ki"),
            ("10KB", 10_000, "10000"),
            ("10k", 10_000, "10000"),
            ("64Mi", 64 << 20, "64Mi"),
            ("64 MiB", 64 << 20, "64Mi"),
            ("1G", 1_000_000_000, "1000000000"),
            ("1gib", 1 << 30, "1Gi"),
            ("2Ti", 2 << 40, "2Ti"),
            ("7b", 7, "7"),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
            assert_eq!(format(expected), shown);
            assert_eq!(parse(shown), Ok(expected));
        }
        for bad in ["", "K", "-1", "1.5M", "1X", "1i", "1ib", "1KK", "20000000Ti", "1 2"] {
            assert_eq!(parse(bad), Err(InvalidSize(bad.into())), "{bad}");
        }
    }
}
