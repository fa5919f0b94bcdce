use std::collections::HashMap;

use crate::flow::{self as plan, BufferId, Coupling, InputGradient, Layer, Linear, Op, Plan};

use crate::gpu::kernels::{self, FOUR, FusedLayer, FusedMap, GROUP, Offsets, Pass, Shape};
use crate::gpu::{sizes, terms};

/// The records of a plan's layers, and where in a tile their columns lie.
pub struct Tables {
    pub shape: Shape,
    pub layers: Vec<FusedLayer>,
    pub maps: Vec<FusedMap>,
    /// Of the polynomials, and their highest degree.
    pub terms: Vec<u32>,
    most_degree: usize,
}

impl Tables {
    /// # Errors
    /// Why this flow has no such form.
    pub fn of(plan: &Plan, pass: Pass, weighted: bool) -> Result<Self, String> {
        let couplings = || {
            plan.forward.iter().filter_map(|op| match op {
                Op::Coupling(op) => Some(op),
                _ => None,
            })
        };
        let most_active = couplings().map(|op| op.active.len()).max().unwrap_or(0);
        let Some(first) = couplings().next() else {
            return Err("there is no coupling layer".into());
        };
        let linear = plan.forward.iter().filter(|op| matches!(op, Op::Linear(_)));
        let networks: usize = couplings().map(|op| op.heads.len()).sum();
        let depth = linear.count() / networks;
        let mut shape = Shape {
            pass,
            quads: 1,
            columns: 0,
            dims: plan.dims() as u32,
            context: plan.spec.context as u32,
            most_frozen: (0..2)
                .map(|layer| plan.spec.frozen(layer).len())
                .max()
                .unwrap_or(0) as u32,
            layers: 0,
            maps: 0,
            depth: depth as u32,
            most_active: most_active as u32,
            saved_columns: 0,
            weighted,
            adds: false,
            mixed: false,
            activation: None,
            family: None,
            transform: first.transform.kind(),
            base: plan.base.kind,
        };
        for op in &plan.forward {
            match op {
                Op::Linear(op) => shape.activation = shape.activation.or(op.activation),
                Op::Basis(op) => shape.family = Some(op.family),
                Op::Triangular(_) => shape.mixed = true,
                Op::Concat(_) | Op::Coupling(_) => {}
            }
        }
        let offsets = shape.offsets();
        shape.columns = offsets.conditioner;
        let mut tables = Tables {
            shape,
            layers: Vec::new(),
            maps: Vec::new(),
            terms: Vec::new(),
            most_degree: 0,
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
                    mixing.saved_mixing = tables.shape.saved_columns;
                    tables.shape.saved_columns += 2 * plan.dims() as u32;
                }
                [maps @ .., Op::Coupling(coupling)] => {
                    let record = tables.coupling(plan, layer, maps, coupling, offsets, mixing)?;
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
        offsets: Offsets,
        mixing: FusedLayer,
    ) -> Result<FusedLayer, String> {
        let trains = self.shape.pass == Pass::Evaluate;
        let mut columns = Columns::default();
        columns.put(layer.input, offsets.state, offsets.gradient);
        columns.context = Some((plan.context(), offsets.inputs + self.shape.most_frozen));
        let frozen = plan.spec.frozen(layer.number);
        let mut end = offsets.conditioner;
        let head_start = end;
        let mut take = |width: u32| {
            let first = end;
            end += width;
            first
        };
        // The heads side by side, as those of a single network are; their gradients take their offsets.
        for head in &coupling.heads {
            let index = take(in_fours(head.count));
            columns.put(head.buffer, index, index);
        }
        let mut record = FusedLayer {
            frozen_first: frozen.start as u32,
            frozen_count: frozen.len() as u32,
            ..mixing
        };
        let ops = match ops {
            [Op::Concat(concat), rest @ ..] => {
                let first = offsets.inputs + self.shape.most_frozen - frozen.len() as u32;
                columns.put(concat.output.buffer, first, 0);
                rest
            }
            _ => ops,
        };
        let ops = match ops {
            [Op::Basis(basis), rest @ ..] => {
                let terms = (basis.output.count as u32).next_multiple_of(FOUR);
                let values = take(terms);
                let gradients = if trains { take(terms) } else { 0 };
                columns.put(basis.output.buffer, values, gradients);
                let table = terms::add(&mut self.terms, basis);
                let degrees = basis.terms.iter().flatten().map(|&(_, degree)| degree);
                self.most_degree = self.most_degree.max(degrees.max().unwrap_or(0));
                record = FusedLayer {
                    input_first: columns.of(basis.input),
                    first: table.first,
                    pitch: table.pitch,
                    dimensions: table.dimensions,
                    input_bound: table.input_bound,
                    term_count: basis.output.count as u32,
                    term_values: values,
                    term_gradients: gradients,
                    inputs_with_gradient: match basis.input_gradient {
                        None => 0,
                        Some(_) => basis.gradient_target.count as u32,
                    },
                    ..record
                };
                rest
            }
            _ => ops,
        };
        // The networks one after another, in the same columns.
        let first_map = self.maps.len();
        let networks = coupling.heads.len();
        let depth = ops.len() / networks;
        if depth != self.shape.depth as usize {
            return Err("its networks differ in depth".into());
        }
        let first_hidden = end;
        for network in ops.chunks(depth) {
            let widths = network.iter().filter_map(|op| match op {
                Op::Linear(op) if op.activation.is_some() => Some(in_fours(op.output.count)),
                _ => None,
            });
            let widest = widths.max().unwrap_or(0);
            let mut next = first_hidden;
            for (k, op) in network.iter().enumerate() {
                let Op::Linear(op) = op else {
                    return Err("it has a conditioner that this path does not know".into());
                };
                let (output, width) = (op.output.buffer, in_fours(op.output.count));
                if op.activation.is_some() && trains {
                    // What the slope is taken from is overwritten by the gradient; what the next map needs does not.
                    let saved = next + width;
                    columns.put(output, next, next + width);
                    columns.values.entry(op.saved).or_insert(saved);
                    next = saved + width;
                } else if op.activation.is_some() {
                    // Two offsets in turn.
                    let index = first_hidden + k as u32 % 2 * widest;
                    columns.put(output, index, 0);
                    columns.values.entry(op.saved).or_insert(0);
                    next = next.max(index + width);
                }
                self.maps.push(map_record(op, &columns));
            }
            self.shape.columns = self.shape.columns.max(next);
        }
        let transform = kernels::Coupling::of(coupling, plan.dims());
        let parameters: usize = coupling.heads.iter().map(|head| head.count).sum();
        let each = parameters / coupling.active.len();
        let by_parameter = match &coupling.heads[..] {
            [_] => transform.by_parameter,
            // The parameters have a head each.
            [head, ..] => in_fours(head.count),
            [] => unreachable!("a coupling has a head"),
        };
        let saved = self.shape.saved_columns;
        self.shape.saved_columns += (coupling.active.len() + parameters) as u32;
        Ok(FusedLayer {
            head: head_start,
            each: each as u32,
            saved,
            first_map: first_map as u32,
            networks: networks as u32,
            depth: depth as u32,
            active_first: transform.active_first,
            active_count: transform.active_count,
            by_parameter,
            by_column: transform.by_column,
            bound: transform.bound,
            bins: transform.bins,
            location: plan.base.location.start as u32,
            raw_spread: plan.base.raw_spread.start as u32,
            ..record
        })
    }

    /// At most so many iterations does an invocation's loops take for one tile.
    pub fn iterations(&self) -> usize {
        let shape = &self.shape;
        let [dims, active, bins] =
            [shape.dims, shape.most_active, self.layers[0].bins].map(|n| n as usize);
        let quads = shape.quads as usize;
        let threads = GROUP as usize;
        // A loop's turns, with those of the loops in it; the turn that finds its end counts, too.
        let turns = |count: usize, inner: usize| count * (1 + inner) + 1;
        // How many items an invocation has of those that the group shares.
        let own = |items: usize| items.div_ceil(threads);
        let columns = |count: usize, inner: usize| turns(own(count * quads), inner);
        let trains = shape.pass == Pass::Evaluate;
        let each = self.layers.iter().map(|layer| layer.each).max();
        let each = turns(each.unwrap_or(0) as usize, 0);
        let mix = match shape.pass {
            Pass::Forward => 2 * columns(dims, turns(dims, 0)) + turns(dims, 0),
            Pass::Inverse => turns(own(quads), 2 * turns(dims, turns(dims, 0))),
            Pass::Evaluate => {
                3 * columns(dims, turns(dims, 0))
                    + columns(dims, turns(dims, 0) + turns(dims, 0))
                    + columns(dims, 0)
                    + 2 * turns(own(dims * dims), turns(quads, 0))
            }
        };
        let mix = usize::from(shape.mixed) * mix;
        let passes = if trains { 2 } else { 1 };
        let transform = passes * columns(active, each + sizes::LOOPS_A_BIN * bins);
        let maps: usize = self
            .maps
            .iter()
            .map(|map| {
                let [inputs, outputs] = [map.inputs, map.outputs].map(|n| n as usize);
                let [in_fours, out_fours] = [inputs, outputs].map(|n| n.div_ceil(4));
                let kept = 5 * turns(4, 0);
                let weights = turns(own(in_fours * out_fours), turns(quads, 0) + kept);
                let forward = columns(out_fours, turns(inputs, 0));
                // Forward a second time on the way back.
                let backward = forward + weights + columns(in_fours, turns(outputs, 0));
                // And the loop over a network's maps, once a pass over it.
                match trains {
                    true => forward + backward + 3,
                    false => forward + 1,
                }
            })
            .sum();
        let networks = passes * turns(self.layers[0].networks as usize, 3);
        let context = shape.context as usize;
        let inputs = match context {
            0 => 0,
            _ => passes * columns(shape.most_frozen as usize, 0),
        };
        let ends = columns(context + usize::from(shape.weighted), 0)
            + match trains {
                true => {
                    turns(own(quads), turns(dims, 0) + turns(active, 0))
                        + turns(own(dims), turns(quads, 0))
                        + turns(own(4 * quads), WALKS)
                        + columns(dims, 0)
                        + columns(active, 0)
                        + turns(quads, 0)
                }
                false => {
                    2 * columns(dims, 0) + columns(active, 0) + turns(own(quads), turns(active, 0))
                }
            };
        let layers = self.layers.len() * (networks + transform + mix + inputs + passes * IDLE);
        let basis = passes * self.layers.len() * self.basis_iterations(turns, own);
        maps + turns(passes * self.layers.len(), 0) + layers + basis + ends
    }

    /// Those of a layer's polynomials, in one pass.
    fn basis_iterations(
        &self,
        turns: impl Fn(usize, usize) -> usize,
        own: impl Fn(usize) -> usize,
    ) -> usize {
        let quads = self.shape.quads as usize;
        let most = |of: fn(&FusedLayer) -> u32| self.layers.iter().map(of).max().unwrap_or(0);
        let count = most(|layer| layer.term_count) as usize;
        let factors = (most(|layer| layer.pitch) as usize).saturating_sub(1);
        let degree = self.most_degree;
        let inputs = most(|layer| layer.inputs_with_gradient) as usize;
        let term = turns(factors, turns(degree, 0));
        turns(own(count * quads), term) + turns(own(inputs * quads), turns(count, term))
    }
}

/// Columns that a layer takes: as many as are made at once.
fn in_fours(count: usize) -> u32 {
    (count as u32).next_multiple_of(FOUR)
}

/// Turns that the shuffle takes to a row: four at most on average, more where the slowest of eight lanes counts.
const WALKS: usize = 16;

/// Turns of the loops that a layer has no use for on its way forward, or back: a software adapter runs both sides of a branch,
/// with no lane active, and each of the kernel's loops in it takes a turn.
const IDLE: usize = 64;

/// Where in a tile the values of a plan's buffers lie, and their gradients.
#[derive(Default)]
struct Columns {
    values: HashMap<BufferId, u32>,
    gradients: HashMap<BufferId, u32>,
    /// The context, and where it lies.
    context: Option<(plan::Columns, u32)>,
}

impl Columns {
    /// Where some columns lie.
    fn of(&self, columns: plan::Columns) -> u32 {
        match self.context {
            Some((context, first)) if context == columns => first,
            _ => self.values[&columns.buffer] + columns.first as u32,
        }
    }

    fn put(&mut self, buffer: BufferId, values: u32, gradients: u32) {
        self.values.insert(buffer, values);
        self.gradients.insert(buffer, gradients);
    }
}

fn map_record(op: &Linear, columns: &Columns) -> FusedMap {
    let (by_output, by_input) = op.weight_strides();
    let value = |buffer: BufferId| columns.values[&buffer];
    let gradient = |buffer: BufferId| columns.gradients[&buffer];
    let (through, input_saved) = match op.input_gradient {
        None | Some(InputGradient::Add | InputGradient::Write) => (0, 0),
        Some(InputGradient::Through { saved, .. }) => (1, value(saved)),
    };
    let target = op.gradient_target;
    FusedMap {
        inputs: op.input.count as u32,
        outputs: op.output.count as u32,
        input: columns.of(op.input),
        output: value(op.output.buffer) + op.output.first as u32,
        saved: value(op.saved),
        delta: gradient(op.output.buffer),
        input_delta: gradient(target.buffer) + target.first as u32,
        input_saved,
        weight: op.weight.start as u32,
        by_output: by_output as u32,
        by_input: by_input as u32,
        bias: op.bias.start as u32,
        biased: (!op.bias.is_empty()).into(),
        activated: op.activation.is_some().into(),
        through,
        inputs_with_gradient: match op.input_gradient {
            None => 0,
            Some(_) => target.count as u32,
        },
    }
}
