//! A future on a thread of its own, ended on drop.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::oneshot;

/// The thread, its runtime and everything spawned there end with this value.
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs `main` until it ends or this value is dropped.
    pub(crate) fn run(main: impl Future<Output = ()> + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = main => {}
                    _ = stopped => {}
                }
            });
            // Does not wait for a blocking task that hangs.
            runtime.shutdown_background();
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
