//! How a script ended, in the words of the system whose users know them.

/// The status and the message of a script's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptEnd {
    /// `success`, `failed`, `blocked` or `error`.
    pub status: &'static str,
    /// The same in a sentence.
    pub message: String,
}

impl ScriptEnd {
    /// From the name of a [`Status`](super::Status), the exit code and the
    /// message of the failure, where there are any.
    pub fn new(status: &str, exit: Option<u32>, failure: Option<&str>) -> Self {
        let why = failure.unwrap_or(status);
        let (status, message) = match (status, exit) {
            ("success", _) => ("success", "Script executed successfully".into()),
            ("failed", Some(code)) => ("failed", format!("Script failed with exit code {code}")),
            ("failed", None) if why.starts_with("Script not supported") => ("failed", why.into()),
            ("policy_denied" | "rate_limited", _) => ("blocked", why.into()),
            ("unreachable" | "auth_failed" | "host_key_rejected" | "circuit_open", _) => {
                ("failed", format!("Agent not connected: {why}"))
            }
            _ => ("error", format!("Execution error: {why}")),
        };
        Self { status, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_words() {
        let unsupported = "Script not supported on target environment: macos";
        for (status, exit, failure, expected, message) in [
            ("success", Some(0), None, "success", "Script executed successfully"),
            ("failed", Some(3), None, "failed", "Script failed with exit code 3"),
            ("failed", None, Some(unsupported), "failed", unsupported),
            ("failed", None, Some("no cwd"), "error", "Execution error: no cwd"),
            ("policy_denied", None, Some("threat"), "blocked", "threat"),
            ("unreachable", None, Some("refused"), "failed", "Agent not connected: refused"),
            ("timeout", None, Some("after 1 s"), "error", "Execution error: after 1 s"),
            ("cancelled", None, None, "error", "Execution error: cancelled"),
        ] {
            let end = ScriptEnd::new(status, exit, failure);
            assert_eq!((end.status, end.message.as_str()), (expected, message), "{status}");
        }
    }
}
