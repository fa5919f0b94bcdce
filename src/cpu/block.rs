use pulp::{Arch, NullaryFnOnce};

use crate::flow::{Basis, BufferId, Columns, Coupling, InputGradient, Linear, Op, Plan};

use super::lanes::{Column, LANES};
use super::linear::Into;
use super::real::Real;
use super::{base, basis, coupling, linear};

/// The activation and gradient buffers of one block of rows, and the passes over a plan's ops.
pub struct Block<'a, T> {
    plan: &'a Plan,
    buffers: Vec<Vec<Column<T>>>,
    gradients: Vec<Vec<Column<T>>>,
    pub log_det: Column<T>,
    pub log_prob: Column<T>,
}

/// A pass over a block, compiled for each instruction set; the processor's own is found when it runs. All that it
/// calls is inlined into it, and so compiled for that set too. Lanes and sums are the same in each, and so are the bits.
enum Pass<'p, 'a, T> {
    Forward(&'p mut Block<'a, T>, &'p [T]),
    Inverse(&'p mut Block<'a, T>, &'p [T]),
    Backward(&'p mut Block<'a, T>, &'p [T], &'p Column<T>, &'p mut [T]),
}

impl<T: Real> NullaryFnOnce for Pass<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        match self {
            Pass::Forward(block, parameters) => block.forward_ops(parameters),
            Pass::Inverse(block, parameters) => block.inverse_ops(parameters),
            Pass::Backward(block, parameters, row_gradient, gradient) => {
                block.backward_ops(parameters, row_gradient, gradient);
            }
        }
    }
}

impl<'a, T: Real> Block<'a, T> {
    pub fn new(plan: &'a Plan) -> Self {
        let columns = |widths: &[usize]| -> Vec<Vec<Column<T>>> {
            widths
                .iter()
                .map(|&width| vec![[T::zero(); LANES]; width])
                .collect()
        };
        Block {
            plan,
            buffers: columns(&plan.widths),
            gradients: columns(&plan.gradient_widths),
            log_det: [T::zero(); LANES],
            log_prob: [T::zero(); LANES],
        }
    }

    /// A state of the flow, to fill or to read.
    pub fn state(&mut self, buffer: BufferId) -> &mut [Column<T>] {
        &mut self.buffers[buffer]
    }

    #[inline(always)]
    fn columns(&self, columns: Columns) -> &[Column<T>] {
        &self.buffers[columns.buffer][columns.range()]
    }

    /// Data to latent, log-determinant and log-density.
    pub fn forward(&mut self, parameters: &[T]) {
        Arch::new().dispatch(Pass::Forward(self, parameters));
    }

    #[inline(always)]
    fn forward_ops(&mut self, parameters: &[T]) {
        self.log_det = [T::zero(); LANES];
        for op in &self.plan.forward {
            self.forward_op(op, parameters);
        }
        self.base_log_prob(parameters);
    }

    /// As [`Block::forward`]; returns for each lane the place in the plan's forward list of the first op whose values are
    /// not finite, or the list's length for the log-density.
    pub fn first_not_finite(&mut self, parameters: &[T]) -> [Option<usize>; LANES] {
        self.log_det = [T::zero(); LANES];
        let mut first = [None; LANES];
        let mut note = |place: usize, columns: &[Column<T>]| {
            for column in columns {
                for (first, value) in first.iter_mut().zip(column) {
                    if first.is_none() && !value.is_finite() {
                        *first = Some(place);
                    }
                }
            }
        };
        for (place, op) in self.plan.forward.iter().enumerate() {
            self.forward_op(op, parameters);
            match op {
                Op::Basis(op) => note(place, self.columns(op.output)),
                Op::Linear(op) => note(place, self.columns(op.output)),
                Op::Coupling(op) => note(place, &self.buffers[op.output]),
            }
            note(place, &[self.log_det]);
        }
        self.base_log_prob(parameters);
        note(self.plan.forward.len(), &[self.log_prob]);
        first
    }

    #[inline(always)]
    fn forward_op(&mut self, op: &Op, parameters: &[T]) {
        match op {
            Op::Basis(op) => self.basis(op),
            Op::Linear(op) => self.linear(op, parameters),
            Op::Coupling(op) => {
                let mut z = std::mem::take(&mut self.buffers[op.output]);
                let mut log_det = self.log_det;
                coupling::forward(
                    op,
                    &self.buffers[op.input],
                    op.log_scale.map(|s| self.columns(s)),
                    self.columns(op.shift),
                    &mut z,
                    &mut log_det,
                );
                self.log_det = log_det;
                self.buffers[op.output] = z;
            }
        }
    }

    #[inline(always)]
    fn base_log_prob(&mut self, parameters: &[T]) {
        let plan = self.plan;
        base::log_prob(
            &plan.base,
            parameters,
            &self.buffers[plan.latent()],
            &self.log_det,
            &mut self.log_prob,
        );
    }

    /// Latent to data.
    pub fn inverse(&mut self, parameters: &[T]) {
        Arch::new().dispatch(Pass::Inverse(self, parameters));
    }

    #[inline(always)]
    fn inverse_ops(&mut self, parameters: &[T]) {
        let plan = self.plan;
        for op in &plan.inverse {
            match op {
                Op::Basis(op) => self.basis(op),
                Op::Linear(op) => self.linear(op, parameters),
                Op::Coupling(op) => {
                    let mut x = std::mem::take(&mut self.buffers[op.output]);
                    coupling::inverse(
                        op,
                        &self.buffers[op.input],
                        op.log_scale.map(|s| self.columns(s)),
                        self.columns(op.shift),
                        &mut x,
                    );
                    self.buffers[op.output] = x;
                }
            }
        }
    }

    #[inline(always)]
    fn linear(&mut self, op: &Linear, parameters: &[T]) {
        let mut output = std::mem::take(&mut self.buffers[op.output.buffer]);
        let mut saved =
            (op.saved != op.output.buffer).then(|| std::mem::take(&mut self.buffers[op.saved]));
        linear::forward(
            op,
            parameters,
            self.columns(op.input),
            &mut output[op.output.range()],
            saved.as_deref_mut(),
        );
        self.buffers[op.output.buffer] = output;
        if let Some(saved) = saved {
            self.buffers[op.saved] = saved;
        }
    }

    #[inline(always)]
    fn basis(&mut self, op: &Basis) {
        let mut output = std::mem::take(&mut self.buffers[op.output.buffer]);
        basis::forward(op, self.columns(op.input), &mut output);
        self.buffers[op.output.buffer] = output;
    }

    #[inline(always)]
    fn basis_backward(&mut self, op: &Basis) {
        if op.input_gradient == InputGradient::Skip {
            return;
        }
        let slot = |buffer: BufferId| self.plan.gradient_slots[buffer];
        let input_slot = slot(op.input.buffer);
        let mut input_gradient = std::mem::take(&mut self.gradients[input_slot]);
        basis::backward(
            op,
            self.columns(op.input),
            &self.gradients[slot(op.output.buffer)],
            &mut input_gradient[op.input.range()],
        );
        self.gradients[input_slot] = input_gradient;
    }

    /// Adds to `gradient` what these rows contribute to the loss's gradient, given that of each row's log-density
    /// (-1/N, and 0 for lanes that hold no row). Follows [`Block::forward`].
    pub fn backward(&mut self, parameters: &[T], row_gradient: &Column<T>, gradient: &mut [T]) {
        Arch::new().dispatch(Pass::Backward(self, parameters, row_gradient, gradient));
    }

    #[inline(always)]
    fn backward_ops(&mut self, parameters: &[T], row_gradient: &Column<T>, gradient: &mut [T]) {
        let plan = self.plan;
        let latent_slot = plan.gradient_slots[plan.latent()];
        base::backward(
            &plan.base,
            parameters,
            &self.buffers[plan.latent()],
            row_gradient,
            &mut self.gradients[latent_slot],
            gradient,
        );
        for op in plan.forward.iter().rev() {
            match op {
                Op::Coupling(op) => self.coupling_backward(op, row_gradient),
                Op::Linear(op) => self.linear_backward(op, parameters, gradient),
                Op::Basis(op) => self.basis_backward(op),
            }
        }
    }

    #[inline(always)]
    fn coupling_backward(&mut self, op: &Coupling, row_gradient: &Column<T>) {
        let slot = |buffer: BufferId| self.plan.gradient_slots[buffer];
        let (x_slot, shift_slot) = (slot(op.input), slot(op.shift.buffer));
        let scale_slot = op.log_scale.map(|s| slot(s.buffer));
        let mut x_gradient = std::mem::take(&mut self.gradients[x_slot]);
        let mut shift_gradient = std::mem::take(&mut self.gradients[shift_slot]);
        let mut scale_gradient = match scale_slot {
            Some(slot) if slot != shift_slot => std::mem::take(&mut self.gradients[slot]),
            _ => Vec::new(),
        };
        // One network with two heads holds s, then t, in one buffer.
        let (before, shift) = shift_gradient.split_at_mut(op.shift.first);
        let scale = op.log_scale.map(|s| {
            if scale_slot == Some(shift_slot) {
                &mut before[s.range()]
            } else {
                &mut scale_gradient[s.range()]
            }
        });
        coupling::backward(
            op,
            &self.buffers[op.input],
            op.log_scale.map(|s| self.columns(s)),
            &self.gradients[slot(op.output)],
            row_gradient,
            &mut x_gradient,
            scale,
            &mut shift[..op.shift.count],
        );
        self.gradients[x_slot] = x_gradient;
        self.gradients[shift_slot] = shift_gradient;
        if let Some(slot) = scale_slot
            && slot != shift_slot
        {
            self.gradients[slot] = scale_gradient;
        }
    }

    #[inline(always)]
    fn linear_backward(&mut self, op: &Linear, parameters: &[T], gradient: &mut [T]) {
        let slot = |buffer: BufferId| self.plan.gradient_slots[buffer];
        linear::backward_weights(
            op,
            self.columns(op.input),
            &self.gradients[slot(op.output.buffer)][op.output.range()],
            gradient,
        );
        let into = match op.input_gradient {
            InputGradient::Skip => return,
            InputGradient::Add => Into::Add,
            InputGradient::Write => Into::Write,
            InputGradient::Through { activation, saved } => Into::Hidden {
                activation,
                saved: &self.buffers[saved],
            },
        };
        let input_slot = slot(op.input.buffer);
        let mut input_gradient = std::mem::take(&mut self.gradients[input_slot]);
        linear::backward_input(
            op,
            parameters,
            &self.gradients[slot(op.output.buffer)][op.output.range()],
            &mut input_gradient[op.input.range()],
            into,
        );
        self.gradients[input_slot] = input_gradient;
    }
}
