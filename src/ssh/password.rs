//! Proving who we are by a password: as such (RFC 4252, 8), or as the answer to
//! the one question of keyboard-interactive (RFC 4256). It is offered once.

use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer};
use secrecy::{ExposeSecret, SecretString};

use super::auth::ended;
use super::connect::fail;
use super::handler::{Client, Learned};
use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint};

/// How many rounds of questions are answered; PAM has a last one without any.
const ROUNDS_MAX: usize = 4;

pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    endpoint: &Endpoint,
    password: &SecretString,
    learned: &Learned,
) -> Result<(), ConnectError> {
    let answer = handle.authenticate_password(&endpoint.user, password.expose_secret()).await;
    match answer.map_err(network)? {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { partial_success: true, .. } => Err(second_proof(endpoint)),
        AuthResult::Failure { remaining_methods, .. }
            if remaining_methods.is_empty() && handle.is_closed() =>
        {
            Err(ended(learned))
        }
        // A server that would take another password refused this one; asking
        // again the other way would only be counted as a second guess.
        AuthResult::Failure { remaining_methods, .. }
            if remaining_methods.contains(&MethodKind::Password) =>
        {
            Err(wrong(endpoint))
        }
        AuthResult::Failure { remaining_methods, .. }
            if remaining_methods.contains(&MethodKind::KeyboardInteractive) =>
        {
            interactively(handle, endpoint, password, learned).await
        }
        AuthResult::Failure { .. } => Err(not_taken(endpoint)),
    }
}

async fn interactively(
    handle: &mut Handle<Client>,
    endpoint: &Endpoint,
    password: &SecretString,
    learned: &Learned,
) -> Result<(), ConnectError> {
    let mut given = false;
    let started = handle.authenticate_keyboard_interactive_start(&endpoint.user, None).await;
    let mut answer = started.map_err(network)?;
    for _ in 0..ROUNDS_MAX {
        let responses = match answer {
            Answer::Success => return Ok(()),
            Answer::Failure { partial_success: true, .. } => return Err(second_proof(endpoint)),
            Answer::Failure { .. } if handle.is_closed() => return Err(ended(learned)),
            Answer::Failure { .. } if given => return Err(wrong(endpoint)),
            Answer::Failure { .. } => return Err(not_taken(endpoint)),
            Answer::InfoRequest { prompts, .. } => match prompts.as_slice() {
                [] => Vec::new(),
                [question] if !question.echo && !given => {
                    given = true;
                    vec![password.expose_secret().to_owned()]
                }
                _ => return Err(other_questions(endpoint)),
            },
        };
        let answered = handle.authenticate_keyboard_interactive_respond(responses).await;
        answer = answered.map_err(network)?;
    }
    Err(other_questions(endpoint))
}

fn network(error: russh::Error) -> ConnectError {
    fail(ConnectPhase::Auth, ConnectErrorKind::Network, error.to_string())
}

fn refusal(message: String, hint: &str) -> ConnectError {
    ConnectError {
        hint: Some(hint.to_owned()),
        ..fail(ConnectPhase::Auth, ConnectErrorKind::Auth, message)
    }
}

fn wrong(endpoint: &Endpoint) -> ConnectError {
    let (at, user) = (endpoint.authority(), &endpoint.user);
    refusal(
        format!("{at} refused the password of user {user}"),
        "check the password and ssh_user; it was offered once and not again",
    )
}

fn not_taken(endpoint: &Endpoint) -> ConnectError {
    let (at, user) = (endpoint.authority(), &endpoint.user);
    refusal(
        format!("{at} takes no password from user {user}"),
        "log in by a key that is there already (-i), or add the public key on the VM's console",
    )
}

fn second_proof(endpoint: &Endpoint) -> ConnectError {
    let (at, user) = (endpoint.authority(), &endpoint.user);
    refusal(
        format!("{at} accepts the password but asks {user} for a second proof"),
        "add the public key on the VM's console",
    )
}

fn other_questions(endpoint: &Endpoint) -> ConnectError {
    let (at, user) = (endpoint.authority(), &endpoint.user);
    refusal(
        format!("{at} asks user {user} for something else than one password"),
        "log in by a key that is there already (-i), or add the public key on the VM's console",
    )
}
