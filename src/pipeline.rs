//! Reading, computing and writing at the same time.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::error::{Error, Result};

/// How many parts may wait between two of the three: enough that none waits for another's longest part.
const WAITING: usize = 2;

/// Reads, works and writes at the same time, part by part, so that memory does not grow with the number of parts. `read` and
/// `write` run on threads of their own; `write` is given all that comes, and what it returns is the result. The first
/// failure ends all three.
pub fn run<A: Send, B: Send, R: Send, E: From<Error> + Send>(
    mut read: impl FnMut() -> Result<Option<A>, E> + Send,
    mut work: impl FnMut(A) -> Result<B, E>,
    write: impl FnOnce(Receiver<B>) -> Result<R, E> + Send,
) -> Result<R, E> {
    thread::scope(|scope| {
        let (to_work, parts) = sync_channel(WAITING);
        let (to_write, done) = sync_channel(WAITING);
        scope.spawn(move || {
            while let Some(part) = read().transpose() {
                let last = part.is_err();
                // Where no one receives it any more, the other end says why.
                if to_work.send(part).is_err() || last {
                    return;
                }
            }
        });
        let writing = scope.spawn(move || write(done));
        let mut failure = None;
        for part in parts {
            match part.and_then(&mut work) {
                Ok(part) => {
                    if to_write.send(part).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        drop(to_write);
        let written = writing.join().unwrap_or_else(|_| {
            let failed = io::Error::other("the thread that writes has failed; please report this");
            Err(Error::io(Path::new("output"))(failed).into())
        });
        match failure {
            Some(failure) => Err(failure),
            None => written,
        }
    })
}
