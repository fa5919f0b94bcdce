//! The processes of an MPI job as a [`Collective`].

use std::sync::Arc;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

use crate::collective::Collective;

/// What a launcher tells its processes: that there are several, and the number of one among those of its machine.
const LAUNCHED: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"];
const LOCAL: [&str; 4] = [
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
    "PMI_LOCAL_RANK",
];

/// Membership in a job, which ends when this is dropped.
pub struct Job {
    /// The processes of the job.
    pub ranks: Arc<dyn Collective>,
    /// The number of this one among those of its machine.
    pub local_rank: usize,
    _universe: Universe,
}

/// Joins the job that this process was started in, if it was started in one of several processes.
pub fn join() -> Option<Job> {
    let count = |name: &str| std::env::var(name).ok()?.trim().parse::<usize>().ok();
    let launched = LAUNCHED.iter().find_map(|name| count(name));
    // Slurm starts one process without a job, too.
    let by_slurm = std::env::var_os("SLURM_STEP_ID").and_then(|_| count("SLURM_STEP_NUM_TASKS"));
    launched.or(by_slurm).filter(|size| *size > 1)?;
    let (universe, _) = mpi::initialize_with_threading(Threading::Serialized)?;
    let ranks = Mpi;
    let local_rank = LOCAL.iter().find_map(|name| count(name));
    Some(Job {
        local_rank: local_rank.unwrap_or(ranks.rank()),
        ranks: Arc::new(ranks),
        _universe: universe,
    })
}

/// Ends all processes of the job.
pub fn abort(code: u8) -> ! {
    SimpleCommunicator::world().abort(code.into())
}

/// All processes of the job. Calls come from one thread at a time.
#[derive(Clone, Copy, Debug)]
struct Mpi;

impl Collective for Mpi {
    fn rank(&self) -> usize {
        SimpleCommunicator::world().rank() as usize
    }

    fn size(&self) -> usize {
        SimpleCommunicator::world().size() as usize
    }

    fn gather(&self, mine: &[f32], all: &mut [f32]) {
        SimpleCommunicator::world().all_gather_into(mine, all);
    }

    fn exchange(&self, parts: &[f32], received: &mut [f32]) {
        SimpleCommunicator::world().all_to_all_into(parts, received);
    }

    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) {
        SimpleCommunicator::world().all_gather_into(mine, all);
    }

    fn broadcast(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let world = SimpleCommunicator::world();
        let root = world.process_at_rank(0);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        // No pointer to nothing is a buffer.
        if !bytes.is_empty() {
            root.broadcast_into(&mut bytes[..]);
        }
        bytes
    }
}
