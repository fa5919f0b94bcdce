use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cpu::{CpuExecutor, Number};
use crate::error::Result;
use crate::executor::Executor;
use crate::model::Model;

/// The executors of one of a model's flows. On the CPU each call that computes has one to itself, made when it is first needed: a lock would be
/// held while the executor waits for threads of a pool, which may take up another call in the meantime and wait for that lock.
/// On a GPU there is one, and calls wait for it.
pub(super) struct Executors {
    idle: Mutex<Vec<Box<dyn Executor>>>,
    another: Option<Another>,
}

/// Makes one more executor for the flow of this index of a model.
type Another = fn(&Model, usize) -> Result<Box<dyn Executor>>;

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
            another: Some(|model, flow| {
                let parameters = &model.flows[flow].parameters;
                let executor = CpuExecutor::<T>::new(model.plan()?, parameters);
                Ok(Box::new(executor))
            }),
            ..Self::one(first)
        }
    }

    /// Calls `work` with an executor of the model's flow of this index, whose executors these are.
    pub fn with<R>(
        &self,
        model: &Model,
        flow: usize,
        work: impl FnOnce(&mut dyn Executor) -> Result<R>,
    ) -> Result<R> {
        let Some(another) = self.another else {
            return work(self.idle()[0].as_mut());
        };
        let idle = self.idle().pop();
        let mut executor = match idle {
            Some(executor) => executor,
            None => another(model, flow)?,
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
