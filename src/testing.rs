//! The internals that tests use: faults to inject, and the parts that kernel tests compare. No part of the
//! library's interface: it changes without notice.

use std::cell::RefCell;
use std::rc::Rc;

use crate::executor::Executor;

pub use crate::files::Fault as DiskFault;
pub use crate::gpu::fault_injection::FaultInjection;

/// Wraps the executors that are opened.
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

/// The CPU's version of each kernel.
pub mod cpu {
    pub use crate::cpu::columns::{BLOCK_ROWS, Column};
    macro_rules! reexport {
        ($($name:ident)*) => {
            $(
                /// All of this module.
                pub mod $name {
                    pub use crate::cpu::$name::*;
                }
            )*
        };
    }
    reexport!(activation adamw base basis coupling linear triangular);
}

/// What dispatches kernels.
pub mod gpu {
    pub use crate::gpu::kernels::Kernel;
    pub use crate::gpu::pipelines::Pipelines;
    pub use crate::gpu::shader::{Access, Source};
    macro_rules! reexport {
        ($($name:ident)*) => {
            $(
                /// All of this module.
                pub mod $name {
                    pub use crate::gpu::$name::*;
                }
            )*
        };
    }
    reexport!(builder dispatch kernels program sizes);
}
