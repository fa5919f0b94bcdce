use std::fs::{File, TryLockError};
use std::io;

/// Takes a file for this process, until it is closed or unlocked. A file system without locks does not stop a run.
///
/// # Errors
/// `busy`, where another process has it.
pub fn take(file: &File, busy: &str) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::ResourceBusy, busy)),
        _ => Ok(()),
    }
}
