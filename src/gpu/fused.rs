//! The fused path: one kernel takes tiles of rows through the whole flow and back. Which models it serves, how a tile is laid
//! out in workgroup memory, and the records that the kernel reads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;

use crate::flow::{Activation, Base, BufferId, Coupling, InputGradient, Layer, Linear, Op, Plan};

use super::kernels::{self, Elementwise, GROUP, UNIFORM_PARAMETERS};
use super::shader::{File, file, record};
use super::sizes;

record! {
    /// A coupling layer of the fused kernel, with the mixing in front of it; the base's parameters lie in all of them. Columns are
    /// those of a tile, but for `aside`, among those that a group puts aside.
    FusedLayer {
        /// Its networks' linear maps in the list of all, so many a network.
        first_map: u32,
        networks: u32,
        depth: u32,
        /// What the conditioner gives: so many parameters each active column.
        head: u32,
        each: u32,
        by_parameter: u32,
        by_column: u32,
        active_first: u32,
        active_count: u32,
        bound: f32,
        bins: u32,
        aside: u32,
        /// Whether there is mixing in front.
        mixed: u32,
        upper: u32,
        log_diagonal: u32,
        lower: u32,
        mix_aside: u32,
        location: u32,
        raw_spread: u32,
        /// To a multiple of 16 bytes.
        unused: u32,
    }
}

record! {
    /// A linear map of the fused kernel; columns are those of a tile.
    FusedMap {
        inputs: u32,
        outputs: u32,
        input: u32,
        output: u32,
        /// Where the output is kept from before the activation.
        saved: u32,
        /// The gradient of the output, and of the input.
        delta: u32,
        input_delta: u32,
        /// What the slope of the activation that made the input is taken from.
        input_saved: u32,
        weight: u32,
        by_output: u32,
        by_input: u32,
        bias: u32,
        biased: u32,
        activated: u32,
        /// Whether the input was made by an activation; else it is a part of the state, whose gradient is added to.
        through: u32,
        /// Whether nobody needs the input's gradient.
        skips: u32,
    }
}

/// What the fused kernel is compiled for: the constants of its prelude, and the files that it is composed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub lanes: Lanes,
    /// Fours of rows that a tile has.
    pub quads: u32,
    /// Whether the parameters lie in a uniform binding.
    pub uniform: bool,
    /// Columns of a tile.
    pub columns: u32,
    /// Inputs or outputs of a linear map, at most.
    pub most_held: u32,
    pub dims: u32,
    pub layers: u32,
    pub maps: u32,
    pub most_active: u32,
    /// Columns that a group puts aside on the way forward.
    pub aside: u32,
    pub mixed: bool,
    pub activation: Option<Activation>,
    pub transform: Elementwise,
    pub base: Base,
}

impl Shape {
    /// Where the tile's parts begin: the state, its gradient, the log-determinant of each active column, and, where there is
    /// mixing, what lies between its two triangular maps, and the gradient of that.
    pub fn places(dims: usize, most_active: usize, mixed: bool) -> Places {
        let log_det = 2 * dims;
        let other = log_det + most_active;
        let (other_gradient, end) = match mixed {
            true => (other + dims, other + 2 * dims),
            false => (other, other),
        };
        Places {
            state: 0,
            gradient: dims,
            log_det,
            other,
            other_gradient,
            conditioner: end,
        }
    }

    /// Invocations of a group.
    pub fn threads(&self) -> u32 {
        match self.lanes {
            Lanes::Few => self.quads,
            Lanes::Many => GROUP,
        }
    }

    /// The constants that the kernel's files count on.
    pub fn prelude(&self) -> String {
        let places = Self::places(self.dims as usize, self.most_active as usize, self.mixed);
        let mut text = [FusedLayer::WGSL, FusedMap::WGSL].concat();
        for (name, value) in [
            ("THREADS", self.threads()),
            ("MOST_HELD", self.most_held),
            ("QUADS", self.quads),
            ("TILE_COLUMNS", self.columns),
            ("DIMS", self.dims),
            ("LAYERS", self.layers),
            ("MAPS", self.maps),
            ("MOST_ACTIVE", self.most_active),
            ("ASIDE", self.aside),
            ("STATE", places.state as u32),
            ("GRADIENT", places.gradient as u32),
            ("LOG_DET", places.log_det as u32),
            ("OTHER", places.other as u32),
            ("OTHER_GRADIENT", places.other_gradient as u32),
        ] {
            let _ = writeln!(text, "const {name} = {value}u;");
        }
        for (name, value) in [
            ("SAVES_PRE", self.activation == Some(Activation::Silu)),
            ("BASE_TRAINED", self.base.trained),
        ] {
            let _ = writeln!(text, "const {name} = {value};");
        }
        text
    }

    /// Shapes of every kind, for tests that must see them all.
    pub fn examples() -> impl Iterator<Item = Shape> {
        use Activation::{Relu, Silu, Tanh};
        let activations = [None, Some(Tanh), Some(Relu), Some(Silu)];
        let transforms = [
            Elementwise::Affine,
            Elementwise::Additive,
            Elementwise::Spline,
        ];
        let kinds = transforms.into_iter().flat_map(move |transform| {
            activations.map(|activation| (transform, activation, Base::ALL[0]))
        });
        // The first is among them.
        let bases = Base::ALL[1..].iter();
        let bases = bases.map(|&base| (Elementwise::Affine, Some(Tanh), base));
        kinds
            .chain(bases)
            .flat_map(|kind| [(kind, Lanes::Few), (kind, Lanes::Many)])
            .map(|((transform, activation, base), lanes)| Shape {
                lanes,
                quads: 4,
                uniform: base.trained,
                columns: 200,
                most_held: 64,
                dims: 5,
                layers: 3,
                maps: 9,
                most_active: 3,
                aside: 30,
                mixed: true,
                activation,
                transform,
                base,
            })
    }
}

/// Columns at which a tile's parts begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub state: usize,
    pub gradient: usize,
    pub log_det: usize,
    pub other: usize,
    pub other_gradient: usize,
    pub conditioner: usize,
}

/// How many invocations share a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// One for each four rows: a software adapter runs them as one vector, and reads what they all need once.
    Few,
    /// As many as keep a hardware GPU's processor busy.
    Many,
}

impl Lanes {
    /// The largest tile, in fours of rows: a software adapter takes eight lanes at once, and small tiles make work for more of
    /// a hardware GPU's processors.
    fn most_quads(self) -> usize {
        match self {
            Lanes::Few => 8,
            Lanes::Many => 4,
        }
    }

    /// What products take their inputs from.
    pub fn file(self) -> File {
        match self {
            Lanes::Few => file!("shared/held_own.wgsl"),
            Lanes::Many => file!("shared/held_shared.wgsl"),
        }
    }
}

/// A plan made ready for the fused kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    pub shape: Shape,
    pub layers: Vec<FusedLayer>,
    pub maps: Vec<FusedMap>,
    /// Rows that a group takes, one tile after another.
    pub rows_per_group: usize,
    /// Groups of a full batch.
    pub groups: usize,
}

/// What a uniform binding holds under the WebGPU default limits.
const MAX_UNIFORM_BYTES: usize = 4 * UNIFORM_PARAMETERS as usize;

/// What is left free of the workgroup memory, in bytes.
const BESIDE: usize = 256;

/// What the groups' shares of the gradient may take: numbers, over all groups. With more, writing them costs more than the
/// rows do.
const PARTIALS: usize = 1 << 22;

/// Groups that keep a GPU busy; more only add shares to sum. A software adapter has few processors.
const MOST_GROUPS: usize = 512;
const MOST_GROUPS_SOFTWARE: usize = 32;

impl Fused {
    /// The plan, for batches of `batch` rows. Where few lanes would go round too often, many share a tile.
    ///
    /// # Errors
    /// Why this model does not fit.
    pub fn new(
        plan: &Plan,
        limits: &wgpu::Limits,
        is_software: bool,
        lanes: Lanes,
        batch: usize,
    ) -> Result<Self, String> {
        let shared_by = |lanes| Self::shared_by(lanes, plan, limits, is_software, batch);
        match lanes {
            Lanes::Few => shared_by(Lanes::Few).or_else(|_| shared_by(Lanes::Many)),
            Lanes::Many => shared_by(Lanes::Many),
        }
    }

    fn shared_by(
        lanes: Lanes,
        plan: &Plan,
        limits: &wgpu::Limits,
        is_software: bool,
        batch: usize,
    ) -> Result<Self, String> {
        let binding = sizes::binding(limits);
        let mut tables = Tables::of(plan, lanes)?;
        for (what, bytes) in [
            ("layers", size_of_val(&tables.layers[..])),
            ("linear maps", size_of_val(&tables.maps[..])),
        ] {
            if bytes > MAX_UNIFORM_BYTES {
                return Err(format!("there are too many {what} for a uniform binding"));
            }
        }
        let memory = limits.max_compute_workgroup_storage_size as usize;
        // Both the columns and the list of rows grow with the tile.
        let bytes = |quads: usize| 16 * quads * (tables.shape.columns as usize + 1) + BESIDE;
        let Some(quads) = (0..=lanes.most_quads().ilog2())
            .rev()
            .map(|k| 1 << k)
            .find(|&quads| bytes(quads) <= memory)
        else {
            return Err(format!(
                "four rows of a layer take {} bytes of workgroup memory, and there are {memory}",
                bytes(1)
            ));
        };
        let parameters = plan.layout.len();
        let most_groups = match is_software {
            true => MOST_GROUPS_SOFTWARE,
            false => MOST_GROUPS,
        };
        let most_groups = most_groups
            .min(PARTIALS / parameters)
            .min(binding / (4 * parameters))
            .max(1);
        let count = batch.div_ceil(4 * quads);
        let mut tiles_per_group = count.div_ceil(most_groups);
        tables.shape.quads = quads as u32;
        tables.shape.uniform = lanes == Lanes::Few && parameters <= UNIFORM_PARAMETERS as usize;
        if is_software {
            let granted = sizes::GRANTED_LOOPS / tables.iterations();
            if granted == 0 {
                return Err(
                    "a tile takes more loop iterations than a software adapter grants".into(),
                );
            }
            tiles_per_group = tiles_per_group.min(granted);
        }
        let groups = count.div_ceil(tiles_per_group);
        if 4 * groups * parameters > binding
            || groups > limits.max_compute_workgroups_per_dimension as usize
        {
            return Err(format!(
                "{groups} groups' shares of the gradient do not fit a binding"
            ));
        }
        Ok(Fused {
            shape: tables.shape,
            layers: tables.layers,
            maps: tables.maps,
            rows_per_group: 4 * quads * tiles_per_group,
            groups,
        })
    }

    /// How it runs, in words.
    pub fn describe(&self) -> String {
        let rows = 4 * self.shape.quads;
        format!("fused (tiles of {rows} rows, in {} groups)", self.groups)
    }
}

/// The records of a plan's layers, and where in a tile their columns lie.
struct Tables {
    shape: Shape,
    layers: Vec<FusedLayer>,
    maps: Vec<FusedMap>,
}

impl Tables {
    fn of(plan: &Plan, lanes: Lanes) -> Result<Self, String> {
        let couplings = || {
            plan.forward.iter().filter_map(|op| match op {
                Op::Coupling(op) => Some(op),
                _ => None,
            })
        };
        let most_active = couplings().map(|op| op.active.len()).max().unwrap_or(0);
        let mixed = plan
            .forward
            .iter()
            .any(|op| matches!(op, Op::Triangular(_)));
        let Some(first) = couplings().next() else {
            return Err("there is no coupling layer".into());
        };
        let mut activations = plan.forward.iter().filter_map(|op| match op {
            Op::Linear(op) => op.activation,
            _ => None,
        });
        let dims = plan.dims();
        let places = Shape::places(dims, most_active, mixed);
        let mut tables = Tables {
            shape: Shape {
                lanes,
                quads: 1,
                uniform: false,
                columns: places.conditioner as u32,
                most_held: 0,
                dims: dims as u32,
                layers: 0,
                maps: 0,
                most_active: most_active as u32,
                aside: 0,
                mixed,
                activation: activations.next(),
                transform: Elementwise::of(first.transform),
                base: plan.base.kind,
            },
            layers: Vec::new(),
            maps: Vec::new(),
        };
        // The mixing belongs to the coupling layer behind it.
        let mut mixing = FusedLayer::default();
        for layer in &plan.layers {
            let ops = &plan.forward[layer.forward.clone()];
            match ops {
                [Op::Triangular(upper), Op::Triangular(lower)] => {
                    mixing.mixed = 1;
                    mixing.upper = upper.matrix.start as u32;
                    mixing.log_diagonal = upper.log_diagonal.start as u32;
                    mixing.lower = lower.matrix.start as u32;
                    mixing.mix_aside = tables.shape.aside;
                    tables.shape.aside += 2 * plan.dims() as u32;
                }
                [maps @ .., Op::Coupling(coupling)] => {
                    let record = tables.coupling(plan, layer, maps, coupling, places, mixing)?;
                    tables.layers.push(record);
                    mixing = FusedLayer::default();
                }
                _ => return Err("it has a layer that this path does not know".into()),
            }
        }
        tables.shape.layers = tables.layers.len() as u32;
        tables.shape.maps = tables.maps.len() as u32;
        Ok(tables)
    }

    /// The record of a coupling layer; those of its linear maps go to the list.
    fn coupling(
        &mut self,
        plan: &Plan,
        layer: &Layer,
        ops: &[Op],
        coupling: &Coupling,
        places: Places,
        mixing: FusedLayer,
    ) -> Result<FusedLayer, String> {
        let mut columns: HashMap<BufferId, usize> = HashMap::from([(layer.input, places.state)]);
        let mut deltas: HashMap<BufferId, usize> = HashMap::from([(layer.input, places.gradient)]);
        // The heads side by side, as those of a single network are; their gradients take their places.
        let mut end = places.conditioner;
        for head in &coupling.heads {
            columns.insert(head.buffer, end);
            deltas.insert(head.buffer, end);
            end += padded(head.count);
        }
        // The networks one after another, in the same columns.
        let first_map = self.maps.len();
        let networks = coupling.heads.len();
        let depth = ops.len() / networks;
        for network in ops.chunks(depth) {
            let mut next = end;
            let mut take = |width: usize| {
                next += width;
                next - width
            };
            for op in network {
                let Op::Linear(op) = op else {
                    return Err("its conditioners are polynomials".into());
                };
                // A head has its place already.
                if let Entry::Vacant(output) = columns.entry(op.output.buffer) {
                    let width = padded(plan.widths[op.output.buffer]);
                    output.insert(take(width));
                    // What the slope is taken from gives its place to the gradient; what the next map needs does not.
                    let delta = take(width);
                    columns.entry(op.saved).or_insert(delta);
                    deltas.insert(op.output.buffer, delta);
                }
                let held = op.input.count.max(op.output.count) as u32;
                self.shape.most_held = self.shape.most_held.max(held);
                self.maps.push(map_record(op, &columns, &deltas));
            }
            self.shape.columns = self.shape.columns.max(next as u32);
        }
        let record = kernels::Coupling::of(coupling, plan.dims());
        let parameters: usize = coupling.heads.iter().map(|head| head.count).sum();
        let each = parameters / coupling.active.len();
        let by_parameter = match &coupling.heads[..] {
            [_] => record.by_parameter,
            // The parameters have a head each.
            [head, ..] => padded(head.count) as u32,
            [] => unreachable!("a coupling has a head"),
        };
        let aside = self.shape.aside;
        self.shape.aside += (coupling.active.len() + parameters) as u32;
        Ok(FusedLayer {
            head: places.conditioner as u32,
            each: each as u32,
            aside,
            first_map: first_map as u32,
            networks: networks as u32,
            depth: depth as u32,
            active_first: record.active_first,
            active_count: record.active_count,
            by_parameter,
            by_column: record.by_column,
            bound: record.bound,
            bins: record.bins,
            location: plan.base.location.start as u32,
            raw_spread: plan.base.raw_spread.start as u32,
            ..mixing
        })
    }

    /// At most so many iterations does an invocation's loops take for one tile.
    fn iterations(&self) -> usize {
        let shape = &self.shape;
        let [dims, active, bins] =
            [shape.dims, shape.most_active, self.layers[0].bins].map(|n| n as usize);
        let quads = shape.quads as usize;
        let threads = shape.threads() as usize;
        // A loop's turns, with those of the loops in it; the turn that finds its end counts, too.
        let turns = |count: usize, inner: usize| count * (1 + inner) + 1;
        // How many items an invocation has of those that the group shares.
        let own = |items: usize| items.div_ceil(threads);
        let each = self.layers.iter().map(|layer| layer.each).max();
        let each = turns(each.unwrap_or(0) as usize, 0);
        let columns = |count: usize, inner: usize| turns(own(count * quads), inner);
        let mixing = 3 * columns(dims, turns(dims, 0))
            + columns(dims, turns(dims, 0) + turns(dims, 0))
            + columns(dims, 0)
            + 2 * turns(own(dims * dims), turns(quads, 0));
        let transform = 2 * columns(active, each + sizes::LOOPS_A_BIN * bins);
        let mixing = usize::from(shape.mixed) * mixing;
        let maps: usize = self
            .maps
            .iter()
            .map(|map| {
                let [inputs, outputs] = [map.inputs, map.outputs].map(|n| n as usize);
                let [in_fours, out_fours] = [inputs, outputs].map(|n| n.div_ceil(4));
                let forward = turns(inputs, 0) + columns(out_fours, turns(inputs, 0));
                let kept = 5 * turns(4, 0);
                let weights = turns(own(in_fours * out_fours), turns(quads, 0) + kept);
                let backward = turns(outputs, 0) + columns(in_fours, turns(outputs, 0));
                // Forward a second time on the way back; and the loop over a network's maps, three times.
                2 * forward + weights + backward + 3
            })
            .sum();
        let networks = 2 * turns(self.layers[0].networks as usize, 3);
        let base = turns(own(quads), turns(dims, 0) + turns(active, 0))
            + turns(own(dims), turns(quads, 0));
        let gather = turns(own(4 * quads), WALKS) + columns(dims, 0) + columns(active, 0);
        let layers = self.layers.len() * (networks + transform + mixing + 2 * IDLE);
        maps + turns(2 * self.layers.len(), 0) + layers + base + gather + turns(quads, 0)
    }
}

/// Turns that the shuffle takes to a row: four at most on average, more where the slowest of eight lanes counts.
const WALKS: usize = 16;

/// Turns of the loops that a layer has no use for on its way forward, or back: a software adapter runs both sides of a branch,
/// with no lane active, and each of the kernel's loops in it takes a turn.
const IDLE: usize = 64;

/// A map makes four columns at once.
fn padded(columns: usize) -> usize {
    columns.next_multiple_of(4)
}

fn map_record(
    op: &Linear,
    columns: &HashMap<BufferId, usize>,
    deltas: &HashMap<BufferId, usize>,
) -> FusedMap {
    let (by_output, by_input) = op.weight_strides();
    let column = |buffer: BufferId| columns[&buffer] as u32;
    let (through, skips, input_saved) = match op.input_gradient {
        InputGradient::Skip => (0, 1, 0),
        InputGradient::Add | InputGradient::Write => (0, 0, 0),
        InputGradient::Through { saved, .. } => (1, 0, column(saved)),
    };
    FusedMap {
        inputs: op.input.count as u32,
        outputs: op.output.count as u32,
        input: column(op.input.buffer) + op.input.first as u32,
        output: column(op.output.buffer) + op.output.first as u32,
        saved: column(op.saved),
        delta: deltas[&op.output.buffer] as u32,
        input_delta: deltas[&op.input.buffer] as u32 + op.input.first as u32,
        input_saved,
        weight: op.weight.start as u32,
        by_output: by_output as u32,
        by_input: by_input as u32,
        bias: op.bias.start as u32,
        biased: (!op.bias.is_empty()).into(),
        activated: op.activation.is_some().into(),
        through,
        skips,
    }
}
