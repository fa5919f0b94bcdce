//! Ctrl-C, SIGTERM and a closed terminal. Training is asked to end and keeps its best model; anything else, and whoever asks
//! twice, is ended at once.

#[cfg(unix)]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there is work that should end well rather than at once.
static PATIENT: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);

/// From here on, signals are heard.
pub fn listen() {
    fail_beyond_file_size();
    // A second call in one process (tests) finds the handler in place.
    let _ = ctrlc::set_handler(|| {
        if PATIENT.load(Ordering::SeqCst) && !ASKED.swap(true, Ordering::SeqCst) {
            say!("\ninterrupted: training ends after this step; once more ends it at once");
            return;
        }
        crate::files::discard_unfinished();
        say!("\ninterrupted");
        std::process::exit(130);
    });
}

/// Has a write beyond the file size that is allowed (`ulimit -f`) fail as on a full disk: unheard, SIGXFSZ ends the program.
#[cfg(unix)]
fn fail_beyond_file_size() {
    let unread = Arc::new(AtomicBool::new(false));
    // Where no handler can be had, all is as before.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, unread);
}

#[cfg(not(unix))]
fn fail_beyond_file_size() {}

/// While it lives, the first signal only asks.
pub struct Patience(());

impl Patience {
    pub fn begin() -> Self {
        ASKED.store(false, Ordering::SeqCst);
        PATIENT.store(true, Ordering::SeqCst);
        Patience(())
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        PATIENT.store(false, Ordering::SeqCst);
    }
}

/// Whether training was asked to end.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
