//! Handles Ctrl-C, SIGTERM and a closed terminal. The first signal asks training to stop, which keeps its best model; a second one,
//! or one while nothing is trained, ends the program at once.

#[cfg(unix)]
use std::sync::{Arc, atomic::AtomicBool};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fit::StopSignal;

/// The training run that a first signal ends gracefully.
static WORK: Mutex<Option<StopSignal>> = Mutex::new(None);

fn work() -> MutexGuard<'static, Option<StopSignal>> {
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs the signal handlers.
pub fn listen() {
    fail_beyond_file_size();
    // A second call in one process (tests) finds the handler in place.
    let _ = ctrlc::set_handler(|| {
        let work = work().clone();
        if work.is_some_and(|stop| !stop.request()) {
            log::info!("\ninterrupted: training ends after this step; once more ends it at once");
            return;
        }
        crate::files::discard_unfinished();
        log::info!("\ninterrupted");
        std::process::exit(130);
    });
}

/// Has a write beyond the file size that is allowed (`ulimit -f`) fail as on a full disk: unheard, SIGXFSZ ends the program.
#[cfg(unix)]
fn fail_beyond_file_size() {
    let unread = Arc::new(AtomicBool::new(false));
    // Without a handler, the signal keeps its default action.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, unread);
}

#[cfg(not(unix))]
fn fail_beyond_file_size() {}

/// While it lives, the first signal only asks work to stop.
pub struct InterruptGuard(());

impl InterruptGuard {
    pub fn new(stop: StopSignal) -> Self {
        *work() = Some(stop);
        InterruptGuard(())
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        *work() = None;
    }
}
