//! What tests reach of the library's inside: faults to inject, and the parts that kernel tests compare. No part of the
//! library's interface: it changes without notice.

use std::cell::RefCell;
use std::rc::Rc;

use crate::executor::Executor;

pub use crate::files::Fault as DiskFault;
pub use crate::gpu::FaultInjection;

/// Stands between whoever opens an executor and the executor.
pub type ExecutorDecorator = dyn Fn(Box<dyn Executor>) -> Box<dyn Executor>;

thread_local! {
    static DECORATOR: RefCell<Option<Rc<ExecutorDecorator>>> = const { RefCell::new(None) };
}

/// Runs `work` with every executor that this thread opens decorated before anything is done with it.
pub fn with_executor_decorator<T>(
    decorator: impl Fn(Box<dyn Executor>) -> Box<dyn Executor> + 'static,
    work: impl FnOnce() -> T,
) -> T {
    DECORATOR.set(Some(Rc::new(decorator)));
    let result = work();
    DECORATOR.set(None);
    result
}

pub(crate) fn decorate(executor: Box<dyn Executor>) -> Box<dyn Executor> {
    match DECORATOR.with_borrow(Clone::clone) {
        Some(decorator) => decorator(executor),
        None => executor,
    }
}
