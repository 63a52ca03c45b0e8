//! Asking a host for its key, and going no further.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::algorithms::Algorithms;
use super::connect::{KillOnDrop, Obstacle, SshConnector, fail};
use super::handler::Learned;
use super::host_key;
use super::known_hosts::Offered;
use super::trace::Trace;
use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint};

impl SshConnector {
    /// The key that a host shows and, by completing the key exchange, proves
    /// to have. Nothing is decided about it and nobody logs in; jump hosts on
    /// the way are verified and logged in to as always.
    ///
    /// # Errors
    /// The host is not reached, or the key exchange fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket and ends every task it started.
    pub async fn scan(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<Offered, ConnectError> {
        let algorithms = self.algorithms(endpoint)?;
        let found = match self.scan_once(endpoint, &algorithms, deadline).await {
            Err(Obstacle::LacksStrictKex) => {
                self.scan_once(endpoint, &algorithms.without_terrapin(), deadline).await
            }
            other => other,
        };
        found.map_err(ConnectError::from)
    }

    async fn scan_once(
        &self,
        endpoint: &Endpoint,
        algorithms: &Algorithms,
        deadline: Instant,
    ) -> Result<Offered, Obstacle> {
        let (socket, _carrier) = self.dial(endpoint, None, deadline, &Trace::default()).await?;
        let _guard = KillOnDrop::new(socket.control());
        let (seen, learned) = (Arc::new(OnceLock::new()), Arc::new(Learned::default()));
        let verify = host_key::watcher(Arc::clone(&seen), algorithms.rsa_min_bits);
        // The key exchange is completed because only its signature proves that
        // the key is the host's own.
        match self.handshake(endpoint, algorithms, verify, socket, &learned, deadline).await {
            Ok(_handle) => {}
            Err(_) if learned.lacks_strict_kex() => return Err(Obstacle::LacksStrictKex),
            Err(error) => return Err(error.into()),
        }
        let missing = || {
            let message = format!("{} showed no host key", endpoint.authority());
            fail(ConnectPhase::HostKey, ConnectErrorKind::Protocol, message)
        };
        Ok(seen.get().cloned().ok_or_else(missing)?)
    }
}
