//! Ctrl-C, SIGTERM and a closed terminal. Training is asked to end and keeps its best model; anything else, and whoever asks
//! twice, is ended at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there is work that should end well rather than at once.
static PATIENT: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);

/// From here on, signals are heard.
pub fn listen() {
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
