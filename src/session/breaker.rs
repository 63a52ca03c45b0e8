//! Hosts that cannot be reached are left alone for a while, so that a run on
//! many does not wait a whole deadline for each attempt on a dead one, least of
//! all on a jump host that stands before them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint};

/// How many attempts must fail one after the other.
const FAILURES_MAX: u32 = 5;

/// How long nothing is tried then.
const REST: Duration = Duration::from_secs(30);

/// The circuits of all endpoints of which something is known.
#[derive(Clone, Default)]
pub(super) struct Breaker(Arc<Mutex<HashMap<Endpoint, Circuit>>>);

/// One attempt that was let through. Dropped without an end it says nothing
/// about the host.
pub(super) struct Ticket {
    breaker: Breaker,
    endpoint: Endpoint,
    probe: bool,
    end: End,
}

impl Breaker {
    /// Lets an attempt through, or refuses it.
    pub(super) fn admit(&self, endpoint: &Endpoint) -> Result<Ticket, ConnectError> {
        let mut circuits = self.lock();
        let probe = match circuits.get_mut(endpoint) {
            None => false,
            Some(circuit) => circuit.admit(Instant::now()).map_err(|rest| open(endpoint, rest))?,
        };
        let end = End::Untold;
        Ok(Ticket { breaker: self.clone(), endpoint: endpoint.clone(), probe, end })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, Circuit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Says how the attempt ended.
    pub(super) fn end<T>(mut self, result: &Result<T, ConnectError>) {
        self.end = End::of(result.as_ref().err());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut circuits = self.breaker.lock();
        let mut circuit = circuits.remove(&self.endpoint).unwrap_or_default();
        circuit.end(self.probe, self.end, Instant::now());
        // Nothing is kept of a host that is well.
        if circuit != Circuit::default() {
            circuits.insert(self.endpoint.clone(), circuit);
        }
    }
}

fn open(endpoint: &Endpoint, rest: Duration) -> ConnectError {
    let next = match rest.as_secs() {
        0 => "one is being made now".to_owned(),
        seconds => format!("the next one is made in {seconds} s"),
    };
    ConnectError {
        phase: ConnectPhase::Tcp,
        kind: ConnectErrorKind::CircuitOpen,
        message: format!(
            "{}: {FAILURES_MAX} attempts to connect failed one after the other; {next}",
            endpoint.authority()
        ),
        hint: Some("see why with `orchestrator hosts check`, then run it again".into()),
        host_key: None,
    }
}

/// What an attempt says about whether the host is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is: it let us in, or answered that it will not.
    Answered,
    /// It is not.
    Failed,
    /// Nothing.
    Untold,
}

impl End {
    fn of(error: Option<&ConnectError>) -> Self {
        use ConnectErrorKind as Kind;
        let Some(error) = error else { return Self::Answered };
        match (error.kind, error.phase) {
            (Kind::Key | Kind::CircuitOpen | Kind::NoFiles, _) => Self::Untold,
            // An sshd above its MaxStartups drops us so, and is very much alive.
            (Kind::Network, ConnectPhase::Banner) => Self::Answered,
            (Kind::Network | Kind::Deadline, _) => Self::Failed,
            _ => Self::Answered,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    /// Attempts are let through; so many have failed since one did not.
    Closed { failures: u32 },
    /// No attempt is let through until then.
    Open { until: Instant },
    /// One attempt is being made to see whether the host is back.
    HalfOpen,
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Whether the attempt that is let through is the probe; how long to wait
    /// if none is.
    fn admit(&mut self, now: Instant) -> Result<bool, Duration> {
        match *self {
            Self::Closed { .. } => Ok(false),
            Self::HalfOpen => Err(Duration::ZERO),
            Self::Open { until } if now < until => Err(until - now),
            Self::Open { .. } => {
                *self = Self::HalfOpen;
                Ok(true)
            }
        }
    }

    fn end(&mut self, probe: bool, end: End, now: Instant) {
        *self = match (*self, end) {
            (_, End::Answered) => Self::default(),
            (Self::Closed { failures }, End::Failed) if failures + 1 < FAILURES_MAX => {
                Self::Closed { failures: failures + 1 }
            }
            (Self::Closed { .. }, End::Failed) => Self::Open { until: now + REST },
            (Self::HalfOpen, End::Failed) if probe => Self::Open { until: now + REST },
            // Somebody else may probe.
            (Self::HalfOpen, End::Untold) if probe => Self::Open { until: now },
            // What began before the circuit opened says nothing new.
            (same, _) => same,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Identity, Route, Trust};

    /// The rule as it is told to people.
    #[derive(Default)]
    struct Model {
        failed_in_a_row: u32,
        opened: Option<Instant>,
        probing: bool,
    }

    impl Model {
        fn admit(&mut self, now: Instant) -> Option<bool> {
            let Some(opened) = self.opened else { return Some(false) };
            if self.probing || now.duration_since(opened) < Duration::from_secs(30) {
                return None;
            }
            self.probing = true;
            Some(true)
        }

        fn end(&mut self, probe: bool, end: End, now: Instant) {
            match end {
                End::Answered => *self = Self::default(),
                End::Failed if self.opened.is_none() => {
                    self.failed_in_a_row += 1;
                    if self.failed_in_a_row == 5 {
                        self.opened = Some(now);
                    }
                }
                End::Failed if self.probing && probe => {
                    (self.opened, self.probing) = (Some(now), false);
                }
                End::Untold if self.probing && probe => self.probing = false,
                End::Failed | End::Untold => {}
            }
        }
    }

    /// A few numbers without a pattern (xorshift), the same at each run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    #[test]
    fn check_49_ten_thousand_sequences_are_as_the_model_says() {
        let began = Instant::now();
        let (mut opened, mut probed) = (0, 0);
        for seed in 1..=10_000_u64 {
            let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let (mut circuit, mut model) = (Circuit::default(), Model::default());
            let (mut now, mut under_way) = (began, Vec::new());
            for step in 0..100 {
                match numbers.below(10) {
                    0 => now += Duration::from_millis(numbers.below(40_000)),
                    1..=4 => {
                        let admitted = circuit.admit(now);
                        assert_eq!(admitted.ok(), model.admit(now), "seed {seed}, step {step}");
                        probed += u32::from(admitted == Ok(true));
                        opened += u32::from(admitted.is_err());
                        under_way.extend(admitted);
                    }
                    ending if !under_way.is_empty() => {
                        let at = numbers.below(under_way.len() as u64);
                        let probe = under_way.swap_remove(usize::try_from(at).unwrap());
                        let end = match (ending, numbers.below(8)) {
                            (_, 0) => End::Answered,
                            (_, 1) => End::Untold,
                            _ => End::Failed,
                        };
                        circuit.end(probe, end, now);
                        model.end(probe, end, now);
                    }
                    _ => {}
                }
            }
        }
        assert!(opened > 1000 && probed > 1000, "{opened} refused, {probed} probes");
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_after_the_rest() {
        let endpoint = Endpoint {
            label: "vm01".into(),
            address: "192.0.2.1".into(),
            port: 22,
            user: "ops".into(),
            route: Route::Direct,
            trust: Trust::default(),
            identity: Identity::default(),
            profile: None,
        };
        let failed = Err::<(), _>(ConnectError {
            phase: ConnectPhase::Tcp,
            kind: ConnectErrorKind::Network,
            message: String::new(),
            hint: None,
            host_key: None,
        });
        let breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            breaker.admit(&endpoint).ok().unwrap().end(&failed);
        }
        let refused = || breaker.admit(&endpoint).err().unwrap().message;
        assert!(refused().contains("the next one is made in 30 s"), "{}", refused());
        tokio::time::advance(REST).await;
        let probe = breaker.admit(&endpoint).ok().unwrap();
        assert!(refused().contains("one is being made now"));
        // One that is given up lets another probe.
        drop(probe);
        breaker.admit(&endpoint).ok().unwrap().end(&failed);
        assert!(breaker.admit(&endpoint).is_err());
        tokio::time::advance(REST).await;
        breaker.admit(&endpoint).ok().unwrap().end(&Ok(()));
        assert!(breaker.lock().is_empty());
    }

    #[test]
    fn only_connection_failures_count() {
        use ConnectErrorKind as Kind;
        let end = |phase, kind| {
            let message = String::new();
            End::of(Some(&ConnectError { phase, kind, message, hint: None, host_key: None }))
        };
        assert_eq!(End::of(None), End::Answered);
        for kind in [Kind::Network, Kind::Deadline] {
            assert_eq!(end(ConnectPhase::Tcp, kind), End::Failed);
        }
        assert_eq!(end(ConnectPhase::Banner, Kind::Deadline), End::Failed);
        assert_eq!(end(ConnectPhase::Banner, Kind::Network), End::Answered);
        for kind in [Kind::Algorithms, Kind::Auth, Kind::HostKeyChanged, Kind::Protocol] {
            assert_eq!(end(ConnectPhase::Kex, kind), End::Answered);
        }
        assert_eq!(end(ConnectPhase::Key, Kind::Key), End::Untold);
    }
}
