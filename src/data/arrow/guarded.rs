use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread becomes an error, and is not printed.
pub(crate) fn is_panic_an_error() -> bool {
    IS_GUARDED.get()
}

/// Makes a panic an error: the readers of these formats panic at some damaged files. What they held is dropped, so that
/// nothing half done is used.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    IS_GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(false);
    result.unwrap_or_else(|_| Err("its reader gave up on it; the file is damaged".into()))
}
