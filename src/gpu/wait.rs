//! The one place that waits. Elsewhere than in a browser the thread sleeps; there, where no thread may, the module is suspended until a
//! promise settles (JavaScript promise integration, feature `jspi`), and what called it is none the wiser.

#[cfg(not(target_arch = "wasm32"))]
pub use native::{block_on, pause, until_done};
#[cfg(target_arch = "wasm32")]
pub use web::{block_on, pause, until_done};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::time::Duration;

    pub use pollster::block_on;
    pub use std::thread::sleep as pause;

    /// Waits until the device is done with a submission.
    ///
    /// # Errors
    /// Why it is not known to be.
    pub fn until_done(
        device: &wgpu::Device,
        _queue: &wgpu::Queue,
        submission: wgpu::SubmissionIndex,
        deadline: Duration,
    ) -> Result<(), String> {
        let waited = device.poll(wgpu::PollType::Wait {
            submission_index: Some(submission),
            timeout: Some(deadline),
        });
        waited.map(drop).map_err(|error| error.to_string())
    }
}

#[cfg(target_arch = "wasm32")]
mod web {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use js_sys::{Array, Function, Promise, Reflect};
    use wasm_bindgen::{JsCast, JsValue};

    /// Waits for a future.
    ///
    /// # Panics
    /// If it is not ready at once, in a module that cannot be suspended: such a one has no GPU, and nothing else to wait for.
    pub fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            // A promise behind it has settled, or settles while others have their turn.
            match future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(output) => return output,
                Poll::Pending => pause(Duration::ZERO),
            }
        }
    }

    /// Gives all else its turn for so long.
    pub fn pause(time: Duration) {
        suspend(&timeout(time));
    }

    /// Waits until the device is done with what was submitted.
    ///
    /// # Errors
    /// Why it is not known to be.
    pub fn until_done(
        _device: &wgpu::Device,
        queue: &wgpu::Queue,
        _submission: wgpu::SubmissionIndex,
        deadline: Duration,
    ) -> Result<(), String> {
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Promise::new(&mut |resolve: Function, _| {
            let is_done = is_done.clone();
            queue.on_submitted_work_done(move || {
                is_done.store(true, Ordering::SeqCst);
                // What waits no longer is not told.
                let _ = resolve.call0(&JsValue::UNDEFINED);
            });
        });
        suspend(&Promise::race(&Array::of2(&done, &timeout(deadline))));
        match is_done.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err("the deadline is over".into()),
        }
    }

    /// A promise that settles after a time.
    fn timeout(time: Duration) -> Promise {
        Promise::new(&mut |resolve: Function, _| {
            // Of a window or of a worker.
            let set = Reflect::get(&js_sys::global(), &"setTimeout".into());
            let set = set.ok().and_then(|it| it.dyn_into::<Function>().ok());
            let milliseconds = JsValue::from_f64(time.as_millis() as f64);
            let is_set = set.is_some_and(|set| {
                let set = set.call2(&JsValue::UNDEFINED, &resolve, &milliseconds);
                set.is_ok()
            });
            if !is_set {
                let _ = resolve.call0(&JsValue::UNDEFINED);
            }
        })
    }

    #[cfg(feature = "jspi")]
    fn suspend(promise: &Promise) {
        #[expect(deprecated, reason = "it warns that a browser may lack it")]
        // Which promise was refused shows in what it was to bring.
        let _ = js_sys::futures::jspi_block_on_promise(promise);
    }

    #[cfg(not(feature = "jspi"))]
    fn suspend(_promise: &Promise) {
        unreachable!("this module cannot be suspended");
    }
}
