use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a fit from outside: from a signal handler, another thread, or a button. Clones share one signal.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Asks for the end: the fit stops before its next steps, with the best parameters so far. Returns whether this was asked
    /// for before.
    pub fn request(&self) -> bool {
        self.0.swap(true, Ordering::SeqCst)
    }

    /// The flag behind it.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
