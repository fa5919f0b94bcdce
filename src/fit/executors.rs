use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cpu::{CpuExecutor, Number};
use crate::error::Result;
use crate::executor::Executor;
use crate::model::Model;

/// The executors of a flow. On the CPU each call that computes has one to itself, made when it is first needed: a lock would be
/// held while the executor waits for threads of a pool, which may take up another call in the meantime and wait for that lock.
/// On a GPU there is one, and calls wait for it.
pub(super) struct Executors {
    idle: Mutex<Vec<Box<dyn Executor>>>,
    another: Option<Another>,
}

/// Makes an executor for a model that has one already.
type Another = fn(&Model) -> Result<Box<dyn Executor>>;

impl Executors {
    /// Of a flow on a GPU.
    pub fn one(executor: Box<dyn Executor>) -> Self {
        Executors {
            idle: Mutex::new(vec![executor]),
            another: None,
        }
    }

    /// Of a flow on the CPU, beginning with this one.
    pub fn on_cpu<T: Number>(first: Box<dyn Executor>) -> Self {
        Executors {
            another: Some(|model| {
                let executor = CpuExecutor::<T>::new(model.plan()?, &model.parameters);
                Ok(Box::new(executor))
            }),
            ..Self::one(first)
        }
    }

    /// Calls `work` with an executor of the model.
    pub fn with<R>(
        &self,
        model: &Model,
        work: impl FnOnce(&mut dyn Executor) -> Result<R>,
    ) -> Result<R> {
        let Some(another) = self.another else {
            return work(self.idle()[0].as_mut());
        };
        let idle = self.idle().pop();
        let mut executor = match idle {
            Some(executor) => executor,
            None => another(model)?,
        };
        let result = work(executor.as_mut());
        self.idle().push(executor);
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Executor>>> {
        // Executors have parameters alone to lose, and no call changes them.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
