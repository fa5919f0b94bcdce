//! Who has a tile, and how networks go over it.

use crate::flow::{Op, Plan};

/// Columns that an invocation makes at once, or a block of them.
pub const FOUR: u32 = 4;

/// What a tile of one invocation may take.
const OWN_MEMORY: usize = 1 << 16;

/// How many invocations (lanes of a processor's vectors) share a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// Each invocation has a tile to itself, in a buffer, and what it works on in variables: a software adapter reaches those a
    /// vector at a time, all memory lane by lane.
    One,
    /// As many as keep a hardware GPU's processor busy share one in workgroup memory.
    Many,
}

impl Lanes {
    /// Tiles to choose from, in fours of rows, the largest first: small ones make work for more of a hardware GPU's processors.
    /// Where many lanes take turns, theirs must be the same rows each time.
    pub fn tiles(self, networks: Networks) -> Vec<usize> {
        match self {
            Lanes::One => vec![networks.quads()],
            Lanes::Many => vec![4, 2, 1],
        }
    }

    /// What a tile may take, in bytes, and of what.
    pub fn memory(self, limits: &wgpu::Limits) -> (usize, &'static str) {
        match self {
            Lanes::One => (OWN_MEMORY, "a buffer"),
            Lanes::Many => {
                let bytes = limits.max_compute_workgroup_storage_size as usize;
                (bytes, "workgroup memory")
            }
        }
    }

    /// The form that fits: where one lane would go round too often, many share a tile.
    pub fn first_that_fits<T>(
        self,
        form: impl Fn(Lanes) -> Result<T, String>,
    ) -> Result<T, String> {
        match self {
            Lanes::One => form(Lanes::One).or_else(|_| form(Lanes::Many)),
            Lanes::Many => form(Lanes::Many),
        }
    }
}

/// How an invocation that has a tile to itself goes through a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Networks {
    /// A layer after another, sixteen units at a time.
    Deep,
    /// The same, but that the last hidden layer goes straight into what comes of it, up to four columns.
    Folded,
    /// Four units at a time of its one hidden layer, while the few columns on either side stay in variables: up to four come of it,
    /// and so many go into it, four at most.
    Shallow { inputs: u32 },
}

impl Networks {
    /// As many columns stay in variables.
    const FEW: usize = FOUR as usize;

    /// That of a plan's networks, whose layers have so many maps each.
    pub fn of(plan: &Plan, depth: usize) -> Self {
        let mut inputs = 0;
        for op in &plan.forward {
            match op {
                Op::Coupling(op) if op.heads.iter().any(|head| head.count > Self::FEW) => {
                    return Networks::Deep;
                }
                Op::Basis(_) => return Networks::Deep,
                Op::Linear(op) if op.activation.is_some() => inputs = inputs.max(op.input.count),
                _ => {}
            }
        }
        match depth {
            0 | 1 => Networks::Deep,
            2 if inputs <= Self::FEW => Networks::Shallow {
                inputs: inputs as u32,
            },
            _ => Networks::Folded,
        }
    }

    pub fn inputs(self) -> u32 {
        match self {
            Networks::Deep | Networks::Folded => 0,
            Networks::Shallow { inputs } => inputs,
        }
    }

    /// Fours of rows of a tile: the more units at a time, the fewer.
    pub fn quads(self) -> usize {
        match self {
            Networks::Deep | Networks::Folded => 2,
            Networks::Shallow { .. } => 4,
        }
    }
}
