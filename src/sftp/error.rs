//! Why an SFTP request, or a whole session, failed.

use std::fmt;
use std::time::Duration;

/// Why there is no answer, or not the one that was hoped for.
///
/// Texts that come from the server are lossy UTF-8, cut to a bounded length and
/// otherwise as it sent them: whoever shows them escapes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SftpError {
    /// The session ended. A request that was under way may have been carried
    /// out or not.
    #[error("the SFTP session was lost: {reason}; connect again, and see how far it came")]
    Lost {
        /// What is known of the cause.
        reason: String,
    },
    /// There is no session: the server refused it, or something else answered.
    #[error("{}", not_started(reason, said))]
    NotStarted {
        /// What happened.
        reason: String,
        /// What was said instead: the first 200 bytes of stdout and the first
        /// 4 KiB of stderr. Empty if nothing was.
        said: String,
    },
    /// The server broke the protocol; the session was ended.
    #[error("the server broke the SFTP protocol: {0}; the session was ended")]
    Protocol(String),
    /// The server owed an answer and sent nothing for this long; the session
    /// was ended.
    #[error("the SFTP server sent nothing for {} s; see whether its disk or the network hangs", .0.as_secs_f64())]
    Stalled(Duration),
    /// The server answered, and refused.
    #[error("{}", refusal(*code, message))]
    Status {
        /// The kind of refusal.
        code: StatusCode,
        /// The server's own words, at most 1 KiB.
        message: String,
    },
    /// This cannot be asked of this server. Nothing was sent.
    #[error("not possible over this SFTP session: {0}")]
    Unsupported(&'static str),
}

impl SftpError {
    /// Whether a file, or a directory on the way to it, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(StatusCode::NoSuchFile)
    }

    /// Whether the server's user may not do this.
    pub fn is_permission_denied(&self) -> bool {
        self.code() == Some(StatusCode::PermissionDenied)
    }

    /// Whether the server refused without saying why. Version 3 has no code for
    /// "exists", "is a directory", "not empty" or "disk full": OpenSSH sends
    /// this one for all of them.
    pub fn is_failure(&self) -> bool {
        self.code() == Some(StatusCode::Failure)
    }

    /// Whether the session is over, so that every further request fails too.
    pub fn ends_session(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::Unsupported(_))
    }

    /// The server's code, if it answered.
    pub fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// The code of a status reply (draft-ietf-secsh-filexfer-02, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// The request was malformed, as the server sees it.
    BadMessage,
    /// The server lost its own connection.
    ConnectionLost,
    /// The end of the file, or of the directory.
    Eof,
    /// Any other cause.
    Failure,
    /// The server has no connection of its own.
    NoConnection,
    /// A file or directory is missing.
    NoSuchFile,
    /// Done.
    Ok,
    /// A code that version 3 does not have.
    Other(u32),
    /// The server's user may not.
    PermissionDenied,
    /// The server does not know this request.
    Unsupported,
}

impl From<u32> for StatusCode {
    fn from(code: u32) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Eof,
            2 => Self::NoSuchFile,
            3 => Self::PermissionDenied,
            4 => Self::Failure,
            5 => Self::BadMessage,
            6 => Self::NoConnection,
            7 => Self::ConnectionLost,
            8 => Self::Unsupported,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadMessage => "bad message",
            Self::ConnectionLost => "connection lost",
            Self::Eof => "end of file",
            Self::Failure => "failure",
            Self::NoConnection => "no connection",
            Self::NoSuchFile => "no such file or directory",
            Self::Ok => "success",
            Self::Other(code) => return write!(f, "status {code}"),
            Self::PermissionDenied => "permission denied",
            Self::Unsupported => "operation unsupported",
        })
    }
}

/// OpenSSH's words are those of the code; others say more.
fn refusal(code: StatusCode, message: &str) -> String {
    let known = code.to_string();
    if message.is_empty() || known.starts_with(&message.to_lowercase()) {
        format!("the SFTP server answered: {known}")
    } else {
        format!("the SFTP server answered: {known} ({message})")
    }
}

fn not_started(reason: &str, said: &str) -> String {
    let said = said.trim();
    let said = if said.is_empty() { String::new() } else { format!("; it said {said:?}") };
    format!(
        "SFTP did not start: {reason}{said}; \
         see that the server has an sftp subsystem and that its login prints nothing"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_their_questions() {
        let status = |code: u32| SftpError::Status { code: code.into(), message: String::new() };
        assert!(status(2).is_not_found());
        assert!(status(3).is_permission_denied());
        assert!(status(4).is_failure());
        assert!(!status(4).ends_session());
        assert!(SftpError::Stalled(Duration::from_secs(60)).ends_session());
        assert_eq!(StatusCode::from(99), StatusCode::Other(99));
    }

    #[test]
    fn what_was_said_is_shown_once_and_escaped() {
        let status = |code: u32, message: &str| {
            SftpError::Status { code: code.into(), message: message.into() }.to_string()
        };
        assert_eq!(
            status(2, "No such file"),
            "the SFTP server answered: no such file or directory"
        );
        assert_eq!(status(4, "quota"), "the SFTP server answered: failure (quota)");
        let error = SftpError::NotStarted { reason: "it ended".into(), said: "\u{1b}[2J\n".into() };
        assert!(error.to_string().contains(r#"it said "\u{1b}[2J""#), "{error}");
        assert_eq!(
            SftpError::Stalled(Duration::from_secs(60)).to_string(),
            "the SFTP server sent nothing for 60 s; see whether its disk or the network hangs"
        );
    }
}
