//! Connecting with a note of every step, for whoever asks why it does not work
//! or how long it takes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::algorithms::Algorithms;
use super::auth::Proof;
use super::connect::{Obstacle, SshConnector, locked};
use super::known_hosts::Accepted;
use super::server_offer::ServerOffer;
use super::trace::{Proven, Trace};
use crate::transport::{ConnectError, Connection, Endpoint, Identity};

/// How far a connection came. Each moment is counted from the beginning.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What was offered.
    pub ours: Algorithms,
    /// When the name was resolved. Never behind a jump host, which does it.
    pub resolved: Option<Duration>,
    /// What it was resolved to.
    pub addresses: Vec<IpAddr>,
    /// When there was a way to the server.
    pub reached: Option<Duration>,
    /// When the server had identified itself, and how.
    pub identified: Option<(Duration, String)>,
    /// When the server had said what it can do, and what that is.
    pub offered: Option<(Duration, ServerOffer)>,
    /// When keys were exchanged and the host key was accepted.
    pub exchanged: Option<Duration>,
    /// Which host key that is, and what vouches for it.
    pub accepted: Option<Accepted>,
    /// When the server had let us in, and by what.
    pub proven: Option<(Duration, Proven)>,
    /// When all of it was over.
    pub ended: Duration,
}

/// The connection, or what stood in the way.
type Connected = Result<Arc<dyn Connection>, ConnectError>;

impl SshConnector {
    /// Connects as [`connect`](crate::transport::Connector::connect) does, and
    /// says how far it came. A key of ours that cannot be used is no reason to
    /// stop before it is needed.
    ///
    /// Waiting for a person who unlocks a key does not count against
    /// `timeout`.
    ///
    /// # Errors
    /// The endpoint's profile does not exist, so nothing was tried.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket and ends every task it started.
    pub async fn probe(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
    ) -> Result<(Probe, Connected), ConnectError> {
        let ours = self.algorithms(endpoint)?;
        let (key, unusable) = match &endpoint.identity.key_file {
            None => (None, None),
            Some(path) => match self.key(path).await {
                Ok(key) => (Some(key), None),
                Err(error) => (None, Some(locked(&error))),
            },
        };
        let mut endpoint = endpoint.clone();
        if unusable.is_some() {
            endpoint.identity = Identity::default();
        }
        let proof = Proof::Key { key: key.as_ref(), agent: self.agent() };
        let (began, mut trace) = (Instant::now(), Trace::listening());
        let deadline = began + timeout;
        let mut result = self.connect_once(&endpoint, &ours, proof, None, deadline, &trace).await;
        if let Err(Obstacle::LacksStrictKex) = result {
            trace = Trace::listening();
            let narrower = ours.without_terrapin();
            result = self.connect_once(&endpoint, &narrower, proof, None, deadline, &trace).await;
        }
        let mut result = result.map_err(ConnectError::from);
        if let (Err(error), Some(unusable)) = (&mut result, unusable)
            && trace.exchanged.get().is_some()
        {
            *error = unusable;
        }
        Ok((Probe::new(began, ours, &trace), result))
    }
}

impl Probe {
    fn new(began: Instant, ours: Algorithms, trace: &Trace) -> Self {
        let since = |moment: &Instant| *moment - began;
        let (identified, offered) = match &trace.heard {
            None => (None, None),
            Some(heard) => {
                let mut said = heard.said();
                (said.identified.take(), said.offered.take())
            }
        };
        let resolved = trace.resolved.get();
        Self {
            ours,
            resolved: resolved.map(|(moment, _)| since(moment)),
            addresses: resolved.map(|(_, addresses)| addresses.clone()).unwrap_or_default(),
            reached: trace.reached.get().map(since),
            identified: identified.map(|(moment, line)| (since(&moment), line)),
            offered: offered.map(|(moment, offer)| (since(&moment), offer)),
            exchanged: trace.exchanged.get().map(since),
            accepted: trace.accepted.get().cloned(),
            proven: trace.proven.get().map(|(moment, proven)| (since(moment), proven.clone())),
            ended: began.elapsed(),
        }
    }
}
