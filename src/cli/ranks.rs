//! The processes of an MPI job, where the command was started as one of several.

use std::sync::Arc;

use crate::collective::{Alone, Collective};
use crate::fit::{DeviceChoice, DeviceName};
use crate::gpu::adapters;

/// The processes that train together: this one alone, or those of a job.
pub struct Ranks {
    pub all: Arc<dyn Collective>,
    local_rank: usize,
    #[cfg(feature = "mpi")]
    _job: Option<crate::mpi::Job>,
}

impl Ranks {
    /// Joins the job, if there is one.
    #[cfg(feature = "mpi")]
    pub fn join() -> Self {
        let job = crate::mpi::join();
        let alone = || -> Arc<dyn Collective> { Arc::new(Alone) };
        Ranks {
            all: job.as_ref().map_or_else(alone, |job| job.ranks.clone()),
            local_rank: job.as_ref().map_or(0, |job| job.local_rank),
            _job: job,
        }
    }

    #[cfg(not(feature = "mpi"))]
    pub fn join() -> Self {
        let launched = std::env::var("OMPI_COMM_WORLD_SIZE").or(std::env::var("PMI_SIZE"));
        if let Ok(count) = launched
            && count != "1"
        {
            log::warn!(
                "{count} processes were started, and each of them trains alone: this build has not the feature mpi"
            );
        }
        Ranks {
            all: Arc::new(Alone),
            local_rank: 0,
        }
    }

    /// Whether there are several.
    pub fn are_several(&self) -> bool {
        self.all.size() > 1
    }

    /// Whether this one writes and prints.
    pub fn leads(&self) -> bool {
        self.all.leads()
    }

    /// The device of this process: the processes of a machine take its GPUs in turn.
    pub fn device(&self, choice: DeviceChoice) -> DeviceChoice {
        if !self.are_several() || choice.device == DeviceName::Cpu || choice.adapter.is_some() {
            return choice;
        }
        let all = adapters().into_iter().enumerate();
        let hardware: Vec<usize> = all
            .filter(|(_, adapter)| !adapter.is_software())
            .map(|(index, _)| index)
            .collect();
        match hardware.len() {
            0 => choice,
            count => DeviceChoice {
                adapter: Some(hardware[self.local_rank % count].to_string()),
                ..choice
            },
        }
    }

    /// Ends the other processes with this one, which failed.
    pub fn abort(&self, code: u8) {
        #[cfg(feature = "mpi")]
        if self.are_several() {
            crate::mpi::abort(code);
        }
        #[cfg(not(feature = "mpi"))]
        let _ = code;
    }
}
