//! Disk writes, and the faults that tests inject into them.

use std::io::{self, Write};
use std::path::Path;

/// Before a change at `path`.
#[cfg(not(feature = "testing"))]
pub fn before(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// As much of `bytes` as may be written to `path` at once.
#[cfg(not(feature = "testing"))]
fn portion<'a>(_path: &Path, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
    Ok(bytes)
}

/// Writes some of `bytes` to the file at `path`.
pub fn write(file: &mut impl Write, path: &Path, bytes: &[u8]) -> io::Result<usize> {
    file.write(portion(path, bytes)?)
}

/// As [`write()`], until all of it is written.
#[cfg(feature = "cli")]
pub fn write_all(file: &mut impl Write, path: &Path, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(file, path, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(feature = "testing")]
use planned::portion;
#[cfg(feature = "testing")]
pub use planned::{Fault, before};

#[cfg(feature = "testing")]
mod planned {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// How a disk fails.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Fault {
        /// It is full from a moment on, within a write: some of the bytes are taken.
        Full,
        /// One change is refused.
        Denied,
    }

    /// A fault to come in a folder, and the changes there so far.
    struct Plan {
        folder: PathBuf,
        fault: Fault,
        at: usize,
        seen: usize,
    }

    static PLANS: Mutex<Vec<Plan>> = Mutex::new(Vec::new());

    fn plans() -> MutexGuard<'static, Vec<Plan>> {
        PLANS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Fault {
        /// Has this happen at change `at`, counted from 0, in a folder and those in it.
        pub fn plan(self, folder: &Path, at: usize) {
            plans().push(Plan {
                folder: folder.to_owned(),
                fault: self,
                at,
                seen: 0,
            });
        }

        /// Takes a folder's plan back; returns how many changes there were.
        pub fn end(folder: &Path) -> usize {
            let mut plans = plans();
            let index = plans.iter().position(|plan| plan.folder == folder);
            plans.swap_remove(index.expect("there is a plan")).seen
        }
    }

    /// The fault of the change at `path` that comes now, and whether it is the first.
    fn strikes(path: &Path) -> Option<(Fault, bool)> {
        let mut plans = plans();
        let plan = plans
            .iter_mut()
            .find(|plan| path.starts_with(&plan.folder))?;
        let now = plan.seen;
        plan.seen += 1;
        let strikes = match plan.fault {
            Fault::Full => now >= plan.at,
            Fault::Denied => now == plan.at,
        };
        strikes.then_some((plan.fault, now == plan.at))
    }

    fn error(fault: Fault) -> io::Error {
        match fault {
            Fault::Full => io::ErrorKind::StorageFull,
            Fault::Denied => io::ErrorKind::PermissionDenied,
        }
        .into()
    }

    pub fn before(path: &Path) -> io::Result<()> {
        strikes(path).map_or(Ok(()), |(fault, _)| Err(error(fault)))
    }

    pub fn portion<'a>(path: &Path, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        match strikes(path) {
            None => Ok(bytes),
            Some((Fault::Full, true)) if bytes.len() > 1 => Ok(&bytes[..bytes.len() / 2]),
            Some((fault, _)) => Err(error(fault)),
        }
    }
}
