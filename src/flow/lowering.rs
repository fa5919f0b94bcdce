//! Lowers a spec to a plan in one walk: assigns offsets to tensors, ops to layers and buffers to ops.

use super::layout::{Initial, Layout};
use super::plan::{
    BaseOp, Basis, BufferId, Columns, Concat, Coupling, InputGradient, Layer, Linear, Op, Plan,
    Triangular,
};
use super::polynomial::{Family, terms};
use super::spec::{Activation, Conditioner, FlowSpec};

impl Plan {
    /// Lowers a spec that [`FlowSpec::validate`] accepts.
    ///
    /// # Errors
    /// As [`FlowSpec::validate`].
    pub fn new(spec: &FlowSpec) -> crate::Result<Self> {
        spec.validate()?;
        let mut lowering = Lowering {
            spec,
            layout: Layout::default(),
            widths: Vec::new(),
            gradient_slots: Vec::new(),
            gradient_widths: vec![spec.dims; STATE_SLOTS],
            states: 0,
            layers: Vec::new(),
            forward: Vec::new(),
            inverses: Vec::new(),
        };
        let mut state = lowering.state();
        // The data's buffer has room for the context.
        lowering.widths[state] += spec.context;
        for number in 0..spec.layers {
            if number > 0 && spec.is_mixed() {
                state = lowering.mixing_layer(number, state);
            }
            state = lowering.coupling_layer(number, state);
        }
        Ok(lowering.finish(state))
    }
}

/// The states take turns with two gradient buffers: a layer needs those of its input and of its output.
const STATE_SLOTS: usize = 2;

struct Lowering<'a> {
    spec: &'a FlowSpec,
    layout: Layout,
    widths: Vec<usize>,
    gradient_slots: Vec<usize>,
    gradient_widths: Vec<usize>,
    /// So many states have buffers.
    states: usize,
    layers: Vec<Layer>,
    forward: Vec<Op>,
    /// Each layer's way back, to be put in reverse order.
    inverses: Vec<Vec<Op>>,
}

/// A coupling layer being lowered.
struct Conditioning {
    number: usize,
    /// The columns that are conditioned on: the frozen ones, then the context.
    input: Columns,
    /// The frozen columns, which get the gradient of the first inputs.
    frozen: Columns,
    /// What is done with that gradient.
    frozen_gradient: Option<InputGradient>,
    /// The gradient buffer that its next buffer gets: the same position in each layer takes the same one.
    slot: usize,
    ops: Vec<Op>,
}

impl Lowering<'_> {
    /// A new state of the flow.
    fn state(&mut self) -> BufferId {
        self.states += 1;
        self.widths.push(self.spec.dims);
        self.gradient_slots.push((self.states - 1) % STATE_SLOTS);
        self.widths.len() - 1
    }

    /// A new buffer whose gradient is not needed.
    fn buffer_without_gradient(&mut self, width: usize) -> Columns {
        self.widths.push(width);
        self.gradient_slots.push(0);
        Columns {
            buffer: self.widths.len() - 1,
            first: 0,
            count: width,
        }
    }

    /// A new buffer of a conditioner.
    fn buffer(&mut self, width: usize, slot: &mut usize) -> Columns {
        self.widths.push(width);
        self.gradient_slots.push(*slot);
        if *slot == self.gradient_widths.len() {
            self.gradient_widths.push(0);
        }
        self.gradient_widths[*slot] = self.gradient_widths[*slot].max(width);
        *slot += 1;
        Columns {
            buffer: self.widths.len() - 1,
            first: 0,
            count: width,
        }
    }

    /// Adds a coupling layer after state `input`; returns the state that it makes.
    fn coupling_layer(&mut self, number: usize, input: BufferId) -> BufferId {
        let spec = self.spec;
        let active = spec.active(number);
        let mut conditioning = self.conditioning(number, input);
        let networks: Vec<(&str, usize)> = spec
            .networks()
            .iter()
            .map(|&(name, parameters)| (name, parameters * active.len()))
            .collect();
        let heads = match &spec.conditioner {
            _ if conditioning.input.count == 0 => {
                vec![self.unconditioned(&mut conditioning, active.len())]
            }
            Conditioner::Mlp {
                hidden, activation, ..
            } => {
                let network = |&(name, outputs): &(&str, usize)| {
                    self.mlp(&mut conditioning, name, hidden, *activation, outputs)
                };
                networks.iter().map(network).collect()
            }
            &Conditioner::Polynomial {
                family,
                degree,
                total_degree,
                input_bound,
            } => {
                let bounded = (family, input_bound);
                let degrees = (degree, total_degree);
                let basis = self.basis(&mut conditioning, bounded, degrees);
                self.coefficients(&mut conditioning, basis, &networks)
            }
        };
        let output = self.state();
        let coupling = Coupling {
            layer: number,
            input,
            output,
            strides: spec.transform.strides(active.len()),
            active,
            transform: spec.transform,
            heads,
        };
        let frozen = conditioning.frozen;
        let mut ops = conditioning.ops;
        // The frozen columns are the same before and after the coupling, so on the way back the conditioner reads them
        // from the layer's output.
        let mut back: Vec<Op> = ops
            .iter()
            .cloned()
            .map(|op| reading_from(op, frozen, output))
            .collect();
        back.push(Op::Coupling(Coupling {
            input: output,
            output: input,
            ..coupling.clone()
        }));
        // The last map of each network.
        let last = ops.iter().filter_map(|op| match op {
            Op::Linear(op) if op.activation.is_none() => Some(op.weight.start..op.bias.end),
            _ => None,
        });
        let identity_at_zero = last.collect();
        ops.push(Op::Coupling(coupling));
        self.layer(number, (input, output), ops, back, identity_at_zero);
        output
    }

    /// Begins coupling layer `number` after state `input`: its frozen columns and the context side by side.
    fn conditioning(&mut self, number: usize, input: BufferId) -> Conditioning {
        let frozen = self.spec.frozen(number);
        let frozen = Columns {
            buffer: input,
            first: frozen.start,
            count: frozen.len(),
        };
        let context = Columns {
            buffer: 0,
            first: self.spec.dims,
            count: self.spec.context,
        };
        let mut ops = Vec::new();
        let input = match (frozen.count, context.count) {
            (_, 0) => frozen,
            (0, _) => context,
            (frozen_count, context_count) => {
                let output = self.buffer_without_gradient(frozen_count + context_count);
                ops.push(Op::Concat(Concat {
                    frozen,
                    context,
                    output,
                }));
                output
            }
        };
        Conditioning {
            number,
            input,
            frozen,
            frozen_gradient: (!self.layers.is_empty() && frozen.count > 0)
                .then_some(InputGradient::Add),
            slot: STATE_SLOTS,
            ops,
        }
    }

    /// The parameters of a layer that is conditioned on nothing: the same for every row, as the bias of a linear map without
    /// inputs. Returns where they lie.
    fn unconditioned(&mut self, conditioning: &mut Conditioning, active: usize) -> Columns {
        let parameters = self.spec.transform.parameters();
        let name = format!("layers.{}.parameters", conditioning.number);
        let initial = Initial::Normal { deviation: 0.1 };
        let bias = self.layout.push(name, vec![active, parameters], initial);
        let output = self.buffer(active * parameters, &mut conditioning.slot);
        conditioning.ops.push(Op::Linear(Linear {
            input: conditioning.input,
            output,
            weight: bias.start..bias.start,
            transposed: false,
            bias,
            activation: None,
            saved: output.buffer,
            input_gradient: None,
            gradient_target: conditioning.frozen,
        }));
        output
    }

    /// Adds the mixing in front of coupling layer `number`; returns the state that it makes.
    fn mixing_layer(&mut self, number: usize, input: BufferId) -> BufferId {
        let dims = self.spec.dims;
        let mut tensor = |part: &str, shape: Vec<usize>| {
            let name = format!("layers.{number}.mix.{part}");
            self.layout.push(name, shape, Initial::Zero)
        };
        let lower = tensor("lower", vec![dims, dims]);
        let upper = tensor("upper", vec![dims, dims]);
        let log_diagonal = tensor("log_diagonal", vec![dims]);
        let (between, output) = (self.state(), self.state());
        let parameters = lower.start..log_diagonal.end;
        let first = Triangular {
            input,
            output: between,
            matrix: upper,
            log_diagonal,
        };
        let second = Triangular {
            input: between,
            output,
            log_diagonal: lower.end..lower.end,
            matrix: lower,
        };
        let back = |op: &Triangular| {
            Op::Triangular(Triangular {
                input: op.output,
                output: op.input,
                ..op.clone()
            })
        };
        let inverse = vec![back(&second), back(&first)];
        let ops = vec![Op::Triangular(first), Op::Triangular(second)];
        self.layer(number, (input, output), ops, inverse, vec![parameters]);
        output
    }

    /// Adds a layer's ops to the lists.
    fn layer(
        &mut self,
        number: usize,
        (input, output): (BufferId, BufferId),
        ops: Vec<Op>,
        back: Vec<Op>,
        identity_at_zero: Vec<std::ops::Range<usize>>,
    ) {
        let first = self.forward.len();
        self.forward.extend(ops);
        self.layers.push(Layer {
            number,
            input,
            output,
            forward: first..self.forward.len(),
            // Its position is known once all layers are.
            inverse: 0..back.len(),
            identity_at_zero,
        });
        self.inverses.push(back);
    }

    /// The ops of one MLP; returns where its output lies.
    fn mlp(
        &mut self,
        conditioning: &mut Conditioning,
        network: &str,
        hidden: &[usize],
        activation: Activation,
        outputs: usize,
    ) -> Columns {
        let mut input = conditioning.input;
        let mut input_gradient = conditioning.frozen_gradient;
        let mut gradient_target = conditioning.frozen;
        for (k, &outputs) in hidden.iter().chain([&outputs]).enumerate() {
            let name = format!("layers.{}.{network}.{k}", conditioning.number);
            // As PyTorch's Linear and Equinox's: weights and biases uniform within 1/sqrt(inputs).
            let bound = 1.0 / (input.count as f64).sqrt();
            let initial = Initial::Uniform {
                low: -bound,
                high: bound,
            };
            let shape = vec![outputs, input.count];
            let weight = self.layout.push(format!("{name}.weight"), shape, initial);
            let bias = self
                .layout
                .push(format!("{name}.bias"), vec![outputs], initial);
            let output = self.buffer(outputs, &mut conditioning.slot);
            let activation = (k < hidden.len()).then_some(activation);
            let saved = match activation {
                Some(activation) if !activation.derivative_from_output() => {
                    self.buffer(outputs, &mut conditioning.slot)
                }
                _ => output,
            };
            conditioning.ops.push(Op::Linear(Linear {
                input,
                output,
                weight,
                transposed: false,
                bias,
                activation,
                saved: saved.buffer,
                input_gradient,
                gradient_target,
            }));
            if let Some(activation) = activation {
                input_gradient = Some(InputGradient::Through {
                    activation,
                    saved: saved.buffer,
                });
            }
            input = output;
            gradient_target = output;
        }
        input
    }

    /// The polynomials of the inputs, which all networks share.
    fn basis(
        &mut self,
        conditioning: &mut Conditioning,
        (family, input_bound): (Family, f64),
        (degree, total_degree): (usize, usize),
    ) -> Columns {
        let input = conditioning.input;
        let terms = terms(input.count, degree, total_degree);
        let output = self.buffer(terms.len(), &mut conditioning.slot);
        conditioning.ops.push(Op::Basis(Basis {
            input,
            output,
            family,
            terms,
            input_bound,
            input_gradient: conditioning.frozen_gradient,
            gradient_target: conditioning.frozen,
        }));
        output
    }

    /// The linear maps of the polynomials; returns where their outputs lie.
    fn coefficients(
        &mut self,
        conditioning: &mut Conditioning,
        basis: Columns,
        networks: &[(&str, usize)],
    ) -> Vec<Columns> {
        let mut heads = Vec::new();
        for (k, &(network, outputs)) in networks.iter().enumerate() {
            let name = format!("layers.{}.{network}.coefficients", conditioning.number);
            let initial = Initial::Normal { deviation: 0.1 };
            let shape = vec![basis.count, outputs];
            let weight = self.layout.push(name, shape, initial);
            let output = self.buffer(outputs, &mut conditioning.slot);
            conditioning.ops.push(Op::Linear(Linear {
                input: basis,
                output,
                bias: weight.end..weight.end,
                weight,
                transposed: true,
                activation: None,
                saved: output.buffer,
                // None for polynomials of the data.
                input_gradient: conditioning.frozen_gradient.map(|_| {
                    // The last one comes first in the backward pass.
                    match k + 1 == networks.len() {
                        true => InputGradient::Write,
                        false => InputGradient::Add,
                    }
                }),
                gradient_target: basis,
            }));
            heads.push(output);
        }
        heads
    }

    /// The plan, whose last state is the latent.
    fn finish(mut self, latent: BufferId) -> Plan {
        let dims = self.spec.dims;
        let base = self.spec.base;
        let [location, raw_spread] = match base.trained {
            false => [0..0, 0..0],
            true => {
                let [location, raw_spread] = base.tensor_names();
                let unit = Initial::Uniform {
                    low: 0.0,
                    high: 1.0,
                };
                [(location, Initial::Zero), (raw_spread, unit)]
                    .map(|(name, initial)| self.layout.push(name.into(), vec![dims], initial))
            }
        };
        let mut end = 0;
        for layer in self.layers.iter_mut().rev() {
            layer.inverse = end..end + layer.inverse.len();
            end = layer.inverse.end;
        }
        Plan {
            spec: self.spec.clone(),
            base: BaseOp {
                kind: base,
                latent,
                location,
                raw_spread,
            },
            layout: self.layout,
            widths: self.widths,
            gradient_slots: self.gradient_slots,
            gradient_widths: self.gradient_widths,
            layers: self.layers,
            forward: self.forward,
            inverse: self.inverses.into_iter().rev().flatten().collect(),
        }
    }
}

/// `op`, reading the frozen columns from flow state `state`.
fn reading_from(mut op: Op, frozen: Columns, state: BufferId) -> Op {
    let input = match &mut op {
        Op::Linear(op) => &mut op.input,
        Op::Basis(op) => &mut op.input,
        Op::Concat(op) => &mut op.frozen,
        Op::Coupling(_) | Op::Triangular(_) => return op,
    };
    if *input == frozen {
        input.buffer = state;
    }
    op
}
