//! Connections to jump hosts, each of which carries those to many targets.
//!
//! That a target stalls is nobody else's concern: what arrives for it is
//! always taken off the carrier (`Connection::open_stream`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::making::Making;
use crate::transport::{ConnectError, Connection, Endpoint};

/// How many targets share a connection to a jump host. They share its fate
/// and its cipher's speed too.
const TARGETS_MAX: usize = 16;

/// The connections to jump hosts that are in use. A carrier lives as long as
/// something it carries.
#[derive(Default)]
pub(super) struct Carriers(Mutex<HashMap<Endpoint, Arc<Jump>>>);

#[derive(Default)]
struct Jump {
    making: Making,
    carriers: Mutex<Vec<Weak<dyn Connection>>>,
}

impl Carriers {
    /// A connection to the jump host with room for another target, made by
    /// `make` if there is none.
    pub(super) async fn claim(
        &self,
        jump: &Endpoint,
        make: impl Future<Output = Result<Arc<dyn Connection>, ConnectError>>,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let jump = {
            let mut jumps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(jumps.entry(jump.clone()).or_default())
        };
        if let Some(carrier) = jump.with_room() {
            return Ok(carrier);
        }
        let make = async {
            let made = make.await?;
            jump.lock().push(Arc::downgrade(&made));
            Ok(made)
        };
        jump.making.share(|| jump.with_room(), make).await
    }
}

impl Jump {
    fn with_room(&self) -> Option<Arc<dyn Connection>> {
        let mut carriers = self.lock();
        carriers.retain(|carrier| carrier.strong_count() > 0);
        // Each target holds its carrier, so those who hold it are counted.
        let free = carriers.iter().filter(|carrier| carrier.strong_count() < TARGETS_MAX);
        free.filter_map(Weak::upgrade).find(|carrier| carrier.is_open())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn Connection>>> {
        self.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
