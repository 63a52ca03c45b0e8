//! What is done on a host.

use super::{
    Command, CommandList, InvalidCommand, InvalidCommandList, InvalidScript, InvalidTransfer,
    RunAs, Script, Transfer,
};

/// One thing to be done on a host.
#[derive(Clone, Debug)]
pub enum Action {
    /// A command is run.
    Command(Command),
    /// Several commands are run, each with its own result.
    Commands(CommandList),
    /// A script is run.
    Script(Script),
    /// Files are moved.
    Transfer(Transfer),
}

/// Why an action can be done on no host.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InvalidAction {
    /// As a command.
    #[error(transparent)]
    Command(#[from] InvalidCommand),
    /// As a list of commands.
    #[error(transparent)]
    Commands(#[from] InvalidCommandList),
    /// As a script.
    #[error(transparent)]
    Script(#[from] InvalidScript),
    /// As a transfer.
    #[error(transparent)]
    Transfer(#[from] InvalidTransfer),
}

impl Action {
    /// Refuses what could never be done as it was meant.
    ///
    /// # Errors
    /// Why not.
    pub fn validate(&self) -> Result<(), InvalidAction> {
        match self {
            Self::Command(command) => command.validate()?,
            Self::Commands(list) => list.validate()?,
            Self::Script(script) => script.validate()?,
            Self::Transfer(transfer) => transfer.validate()?,
        }
        Ok(())
    }

    /// The action as text, for people and records.
    pub fn display(&self) -> String {
        match self {
            Self::Command(command) => command.display(),
            Self::Commands(list) => list.display(),
            Self::Script(script) => script.display(),
            Self::Transfer(transfer) => transfer.display(),
        }
    }

    /// The user whom it is done as, if not the one who logs in. Of several
    /// commands it is the first one's.
    pub fn run_as(&self) -> Option<&RunAs> {
        match self {
            Self::Command(command) => command.run_as.as_ref(),
            Self::Commands(list) => list.commands.first().and_then(|first| first.run_as.as_ref()),
            Self::Script(script) => script.settings.run_as.as_ref(),
            Self::Transfer(transfer) => transfer.run_as.as_ref(),
        }
    }

    /// Whether doing it twice does no harm. Files are replaced whole, so that
    /// doing it again ends in the same.
    pub fn idempotent(&self) -> bool {
        match self {
            Self::Command(command) => command.idempotent,
            Self::Commands(list) => list.commands.iter().all(|command| command.idempotent),
            Self::Script(script) => script.settings.idempotent,
            Self::Transfer(_) => true,
        }
    }
}

impl From<Command> for Action {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

impl From<CommandList> for Action {
    fn from(list: CommandList) -> Self {
        Self::Commands(list)
    }
}

impl From<Script> for Action {
    fn from(script: Script) -> Self {
        Self::Script(script)
    }
}

impl From<Transfer> for Action {
    fn from(transfer: Transfer) -> Self {
        Self::Transfer(transfer)
    }
}
