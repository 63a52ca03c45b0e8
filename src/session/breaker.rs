//! Hosts that cannot be reached are left alone for a while, so that a run on
//! many does not wait a whole deadline for each attempt on a dead one, least of
//! all on a jump host that stands before them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint};

/// When a host is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuits {
    /// How many attempts to connect must fail one after the other.
    pub failures: u32,
    /// How many must succeed one after the other, once one is made again, until
    /// all are.
    pub successes: u32,
    /// How long nothing is tried.
    pub rest: Duration,
    /// Whether it is counted for each purpose by itself.
    pub by_purpose: bool,
}

impl Default for Circuits {
    fn default() -> Self {
        Self { failures: 5, successes: 1, rest: Duration::from_secs(30), by_purpose: false }
    }
}

/// A host, and for what it is connected to where that is told apart.
type Key = (Endpoint, Option<Arc<str>>);

/// The circuits of all endpoints of which something is known.
#[derive(Clone, Default)]
pub(super) struct Breaker {
    settings: Circuits,
    circuits: Arc<Mutex<HashMap<Key, Circuit>>>,
}

/// One attempt that was let through. Dropped without an end it says nothing
/// about the host.
pub(super) struct Ticket {
    breaker: Breaker,
    key: Key,
    probe: bool,
    end: End,
}

impl Breaker {
    pub(super) fn new(settings: Circuits) -> Self {
        Self { settings, circuits: Arc::default() }
    }

    /// Lets an attempt through that is made for a purpose, or refuses it.
    pub(super) fn admit(
        &self,
        endpoint: &Endpoint,
        purpose: Option<&str>,
    ) -> Result<Ticket, ConnectError> {
        let purpose = purpose.filter(|_| self.settings.by_purpose);
        let key = (endpoint.clone(), purpose.map(Arc::from));
        let mut circuits = self.lock();
        let probe = match circuits.get_mut(&key) {
            None => false,
            Some(circuit) => {
                let admitted = circuit.admit(Instant::now());
                admitted.map_err(|rest| open(endpoint, self.settings.failures, rest))?
            }
        };
        let end = End::Untold;
        Ok(Ticket { breaker: self.clone(), key, probe, end })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Circuit>> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut circuit = circuits.remove(&self.key).unwrap_or_default();
        circuit.end(&self.breaker.settings, self.probe, self.end, Instant::now());
        // Nothing is kept of a host that is well.
        if circuit != Circuit::default() {
            circuits.insert(self.key.clone(), circuit);
        }
    }
}

fn open(endpoint: &Endpoint, failures: u32, rest: Duration) -> ConnectError {
    let next = match rest.as_secs() {
        0 => "one is being made now".to_owned(),
        seconds => format!("the next one is made in {seconds} s"),
    };
    ConnectError {
        phase: ConnectPhase::Tcp,
        kind: ConnectErrorKind::CircuitOpen,
        message: format!(
            "{}: {failures} attempts to connect failed one after the other; {next}",
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
    /// One attempt at a time is made to see whether the host is back.
    HalfOpen { probing: bool, successes: u32 },
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
            Self::HalfOpen { probing: true, .. } => Err(Duration::ZERO),
            Self::HalfOpen { successes, .. } => {
                *self = Self::HalfOpen { probing: true, successes };
                Ok(true)
            }
            Self::Open { until } if now < until => Err(until - now),
            Self::Open { .. } => {
                *self = Self::HalfOpen { probing: true, successes: 0 };
                Ok(true)
            }
        }
    }

    fn end(&mut self, settings: &Circuits, probe: bool, end: End, now: Instant) {
        let open = Self::Open { until: now + settings.rest };
        *self = match (*self, end) {
            (Self::Closed { .. }, End::Answered) => Self::default(),
            (Self::Closed { failures }, End::Failed) if failures + 1 < settings.failures => {
                Self::Closed { failures: failures + 1 }
            }
            (Self::Closed { .. }, End::Failed) => open,
            // Whenever it began, somebody got through.
            (Self::Open { .. }, End::Answered) => settings.answered(0, false),
            (Self::HalfOpen { probing, successes }, End::Answered) => {
                settings.answered(successes, probing && !probe)
            }
            (Self::HalfOpen { .. }, End::Failed) if probe => open,
            // Somebody else may probe.
            (Self::HalfOpen { successes, .. }, End::Untold) if probe => {
                Self::HalfOpen { probing: false, successes }
            }
            // What began before the circuit opened says nothing new.
            (same, _) => same,
        };
    }
}

impl Circuits {
    /// A circuit that was open, after one more success.
    fn answered(&self, before: u32, probing: bool) -> Circuit {
        match before + 1 < self.successes {
            true => Circuit::HalfOpen { probing, successes: before + 1 },
            false => Circuit::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Identity, Route, Trust};

    /// The rule as it is told to people.
    struct Model {
        settings: Circuits,
        failed_in_a_row: u32,
        opened: Option<Instant>,
        /// Whether one is let through at a time, and how many got through.
        half: Option<u32>,
        probing: bool,
    }

    impl Model {
        fn admit(&mut self, now: Instant) -> Option<bool> {
            let Some(opened) = self.opened else { return Some(false) };
            if self.probing || self.half.is_none() && now < opened + self.settings.rest {
                return None;
            }
            (self.probing, self.half) = (true, self.half.or(Some(0)));
            Some(true)
        }

        fn end(&mut self, probe: bool, end: End, now: Instant) {
            match end {
                End::Answered => {
                    let through = self.half.unwrap_or(0) + 1;
                    self.failed_in_a_row = 0;
                    self.probing &= !probe;
                    if self.opened.is_some() && through < self.settings.successes {
                        self.half = Some(through);
                    } else {
                        (self.opened, self.half, self.probing) = (None, None, false);
                    }
                }
                End::Failed if self.opened.is_none() => {
                    self.failed_in_a_row += 1;
                    if self.failed_in_a_row == self.settings.failures {
                        self.opened = Some(now);
                    }
                }
                End::Failed if self.half.is_some() && probe => {
                    (self.opened, self.half, self.probing) = (Some(now), None, false);
                }
                End::Untold if self.half.is_some() && probe => self.probing = false,
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
            // As they are without a policy, and then as one may have them.
            let settings = match seed % 2 {
                0 => Circuits::default(),
                _ => {
                    let mut count = |bound| 1 + u32::try_from(numbers.below(bound)).unwrap();
                    let (failures, successes) = (count(7), count(4));
                    Circuits { failures, successes, ..Circuits::default() }
                }
            };
            let mut model =
                Model { settings, failed_in_a_row: 0, opened: None, half: None, probing: false };
            let mut circuit = Circuit::default();
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
                        circuit.end(&settings, probe, end, now);
                        model.end(probe, end, now);
                    }
                    _ => {}
                }
            }
        }
        assert!(opened > 1000 && probed > 1000, "{opened} refused, {probed} probes");
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            label: "vm01".into(),
            address: "192.0.2.1".into(),
            port: 22,
            user: "ops".into(),
            route: Route::Direct,
            trust: Trust::default(),
            identity: Identity::default(),
            profile: None,
        }
    }

    fn failed() -> Result<(), ConnectError> {
        Err(ConnectError {
            phase: ConnectPhase::Tcp,
            kind: ConnectErrorKind::Network,
            message: String::new(),
            hint: None,
            host_key: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_after_the_rest() {
        let (endpoint, breaker) = (endpoint(), Breaker::default());
        let settings = Circuits::default();
        let admit = || breaker.admit(&endpoint, Some("ls"));
        for _ in 0..settings.failures {
            admit().ok().unwrap().end(&failed());
        }
        let refused = || admit().err().unwrap().message;
        assert!(refused().contains("5 attempts to connect failed"), "{}", refused());
        assert!(refused().contains("the next one is made in 30 s"), "{}", refused());
        // Whatever for: it is not told apart.
        assert!(breaker.admit(&endpoint, None).is_err());
        tokio::time::advance(settings.rest).await;
        let probe = admit().ok().unwrap();
        assert!(refused().contains("one is being made now"));
        // One that is given up lets another probe.
        drop(probe);
        admit().ok().unwrap().end(&failed());
        assert!(admit().is_err());
        tokio::time::advance(settings.rest).await;
        admit().ok().unwrap().end(&Ok(()));
        assert!(breaker.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn as_a_policy_has_it() {
        let rest = Duration::from_secs(7);
        let settings = Circuits { failures: 2, successes: 2, rest, by_purpose: true };
        let (endpoint, breaker) = (endpoint(), Breaker::new(settings));
        let admit = |purpose| breaker.admit(&endpoint, purpose);
        for _ in 0..2 {
            admit(Some("git")).ok().unwrap().end(&failed());
            admit(Some("ls")).ok().unwrap().end(&Ok(()));
        }
        let refused = admit(Some("git")).err().unwrap().message;
        assert!(refused.contains("2 attempts to connect failed"), "{refused}");
        assert!(refused.contains("the next one is made in 7 s"), "{refused}");
        assert!(admit(Some("ls")).is_ok() && admit(None).is_ok());
        tokio::time::advance(rest).await;
        // One after the other, until two got through.
        let probe = admit(Some("git")).ok().unwrap();
        assert!(admit(Some("git")).is_err());
        probe.end(&Ok(()));
        let probe = admit(Some("git")).ok().unwrap();
        assert!(admit(Some("git")).is_err());
        probe.end(&Ok(()));
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
