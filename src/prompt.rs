//! Asking a person, without knowing where the person is.
//!
//! Passphrases, sudo passwords and confirmations come through a [`Prompter`].
//! A library user who sets none gets [`RefusePrompter`]: an automation job has
//! nobody to ask, and must not hang waiting for one.

use secrecy::SecretString;

/// Asks whoever runs the program.
pub trait Prompter: Send + Sync {
    /// Asks for a secret without echo.
    fn secret(&self, question: &str) -> Result<SecretString, PromptError>;

    /// Asks a yes-or-no question; anything but a clear yes is no.
    fn confirm(&self, question: &str) -> Result<bool, PromptError>;
}

/// Why nobody could be asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PromptError {
    /// The answer could not be read.
    #[error("the answer could not be read: {0}")]
    Io(String),
    /// There is no terminal, or the program has no [`Prompter`].
    #[error("there is nobody to ask: {0}")]
    Nobody(String),
}

/// Refuses every question.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefusePrompter;

impl Prompter for RefusePrompter {
    fn secret(&self, question: &str) -> Result<SecretString, PromptError> {
        Err(PromptError::Nobody(question.into()))
    }

    fn confirm(&self, question: &str) -> Result<bool, PromptError> {
        Err(PromptError::Nobody(question.into()))
    }
}
