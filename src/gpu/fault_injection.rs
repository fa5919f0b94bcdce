use std::cell::Cell;
use std::time::Duration;

/// A failure of a device that a test injects, at the n-th call of its thread that it can happen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultInjection {
    /// The device is gone: before any call to it.
    Lost,
    /// A call is refused as not valid: any.
    Invalid,
    /// There is no memory for a buffer.
    OutOfMemory,
    /// A submission does not come back in time.
    Silent,
}

thread_local! {
    static PLANNED: Cell<Option<(FaultInjection, usize)>> = const { Cell::new(None) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static STEADY: Cell<bool> = const { Cell::new(false) };
}

impl FaultInjection {
    /// Every kind.
    pub const ALL: [FaultInjection; 4] = [
        FaultInjection::Lost,
        FaultInjection::Invalid,
        FaultInjection::OutOfMemory,
        FaultInjection::Silent,
    ];

    /// Has this happen once, at call `call` from now, counted from 0, of those that it can happen in.
    pub fn plan(self, call: usize) {
        PLANNED.set(Some((self, call)));
        CALLS.set(0);
        STEADY.set(true);
    }

    /// How long a submission counts to have taken, for a thread that has planned something: then every run makes the same
    /// calls.
    pub fn steady_time() -> Option<Duration> {
        STEADY.get().then_some(Duration::from_millis(1))
    }

    /// How many of those calls there were since, and whether it happened.
    pub fn outcome() -> (usize, bool) {
        (CALLS.get(), PLANNED.take().is_none())
    }

    /// Whether it happens in this call.
    pub fn fires(self) -> bool {
        match PLANNED.get() {
            Some((fault, call)) if fault == self => {
                let now = CALLS.replace(CALLS.get() + 1) == call;
                if now {
                    PLANNED.set(None);
                }
                now
            }
            // It has happened, or something else is to.
            _ => false,
        }
    }
}
