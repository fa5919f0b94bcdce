use pulp::{Scalar, Simd, WithSimd};

use crate::flow::{Basis, BufferId, Columns, Concat, Coupling, Linear, Op, Plan};

use super::columns::{self, BLOCK_ROWS, Column};
use super::coupling::Heads;
use super::instructions::dispatch;
use super::linear::Hidden;
use super::real::Real;
use super::sums::Sums;
use super::{base, basis, coupling, linear, triangular};

/// The activation and gradient buffers of one block of rows, and the passes over a plan's ops.
pub struct Block<T> {
    buffers: Vec<columns::Columns<T>>,
    gradients: Vec<columns::Columns<T>>,
    sums: Sums<T>,
    /// Whether the chunk at hand has had a block.
    begun: bool,
    pub log_det: Column<T>,
    pub log_prob: Column<T>,
}

/// A pass over a block, compiled for each instruction set; the processor's own is found when it runs. All that it
/// calls is inlined into it, and so compiled for that set too.
enum Pass<'p, T> {
    Forward(&'p mut Block<T>, &'p Plan, &'p [T]),
    Inverse(&'p mut Block<T>, &'p Plan, &'p [T]),
    Backward(
        &'p mut Block<T>,
        &'p Plan,
        &'p [T],
        &'p Column<T>,
        &'p mut [T],
    ),
    End(&'p mut Block<T>, &'p mut [T]),
}

impl<T: Real> WithSimd for Pass<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self {
            Pass::Forward(block, plan, parameters) => block.forward_ops(simd, plan, parameters),
            Pass::Inverse(block, plan, parameters) => block.inverse_ops(simd, plan, parameters),
            Pass::Backward(block, plan, parameters, row_gradient, gradient) => {
                block.backward_ops(simd, plan, parameters, row_gradient, gradient);
            }
            Pass::End(block, gradient) => block.sums.write(simd, gradient),
        }
    }
}

impl<T: Real> Block<T> {
    pub fn new(plan: &Plan) -> Self {
        let columns = |widths: &[usize]| -> Vec<columns::Columns<T>> {
            widths
                .iter()
                .map(|&width| columns::Columns::zeros(width))
                .collect()
        };
        Block {
            buffers: columns(&plan.widths),
            gradients: columns(&plan.gradient_widths),
            sums: Sums::new(plan),
            begun: false,
            log_det: [T::zero(); BLOCK_ROWS],
            log_prob: [T::zero(); BLOCK_ROWS],
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
    pub fn forward(&mut self, plan: &Plan, parameters: &[T]) {
        dispatch(Pass::Forward(self, plan, parameters));
    }

    #[inline(always)]
    fn forward_ops<S: Simd>(&mut self, simd: S, plan: &Plan, parameters: &[T]) {
        self.log_det = [T::zero(); BLOCK_ROWS];
        for op in &plan.forward {
            self.forward_op(simd, op, parameters);
        }
        self.base_log_prob(simd, plan, parameters);
    }

    /// As [`Block::forward`]; returns for each lane the index in the plan's forward list of the first op whose values are
    /// not finite, or the list's length for the log-density.
    pub fn first_not_finite(
        &mut self,
        plan: &Plan,
        parameters: &[T],
    ) -> [Option<usize>; BLOCK_ROWS] {
        let simd = Scalar;
        self.log_det = [T::zero(); BLOCK_ROWS];
        let mut first = [None; BLOCK_ROWS];
        let mut note = |index: usize, columns: &[Column<T>]| {
            for column in columns {
                for (first, value) in first.iter_mut().zip(column) {
                    if first.is_none() && !value.is_finite() {
                        *first = Some(index);
                    }
                }
            }
        };
        for (index, op) in plan.forward.iter().enumerate() {
            self.forward_op(simd, op, parameters);
            match op {
                Op::Concat(op) => note(index, self.columns(op.output)),
                Op::Basis(op) => note(index, self.columns(op.output)),
                Op::Linear(op) => note(index, self.columns(op.output)),
                Op::Coupling(op) => note(index, &self.buffers[op.output]),
                Op::Triangular(op) => note(index, &self.buffers[op.output]),
            }
            note(index, &[self.log_det]);
        }
        self.base_log_prob(simd, plan, parameters);
        note(plan.forward.len(), &[self.log_prob]);
        first
    }

    #[inline(always)]
    fn forward_op<S: Simd>(&mut self, simd: S, op: &Op, parameters: &[T]) {
        match op {
            Op::Concat(op) => self.concat(op),
            Op::Basis(op) => self.basis(simd, op),
            Op::Linear(op) => self.linear(simd, op, parameters),
            Op::Triangular(op) => {
                let mut y = std::mem::take(&mut self.buffers[op.output]);
                let x = &self.buffers[op.input];
                triangular::forward(simd, op, parameters, x, &mut y, &mut self.log_det);
                self.buffers[op.output] = y;
            }
            Op::Coupling(op) => {
                let mut z = std::mem::take(&mut self.buffers[op.output]);
                let mut log_det = self.log_det;
                coupling::forward(
                    simd,
                    op,
                    &self.buffers[op.input],
                    self.heads(op),
                    &mut z,
                    &mut log_det,
                );
                self.log_det = log_det;
                self.buffers[op.output] = z;
            }
        }
    }

    #[inline(always)]
    fn heads(&self, op: &Coupling) -> Heads<'_, T> {
        let second = op.heads.get(1);
        let second = second.map_or(&[][..], |&head| self.columns(head));
        [self.columns(op.heads[0]), second]
    }

    #[inline(always)]
    fn base_log_prob<S: Simd>(&mut self, simd: S, plan: &Plan, parameters: &[T]) {
        base::log_prob(
            simd,
            &plan.base,
            parameters,
            &self.buffers[plan.latent()],
            &self.log_det,
            &mut self.log_prob,
        );
    }

    /// Latent to data.
    pub fn inverse(&mut self, plan: &Plan, parameters: &[T]) {
        dispatch(Pass::Inverse(self, plan, parameters));
    }

    #[inline(always)]
    fn inverse_ops<S: Simd>(&mut self, simd: S, plan: &Plan, parameters: &[T]) {
        for op in &plan.inverse {
            match op {
                Op::Concat(op) => self.concat(op),
                Op::Basis(op) => self.basis(simd, op),
                Op::Linear(op) => self.linear(simd, op, parameters),
                Op::Triangular(op) => {
                    let mut x = std::mem::take(&mut self.buffers[op.output]);
                    triangular::inverse(simd, op, parameters, &self.buffers[op.input], &mut x);
                    self.buffers[op.output] = x;
                }
                Op::Coupling(op) => {
                    let mut x = std::mem::take(&mut self.buffers[op.output]);
                    coupling::inverse(simd, op, &self.buffers[op.input], self.heads(op), &mut x);
                    self.buffers[op.output] = x;
                }
            }
        }
    }

    #[inline(always)]
    fn linear<S: Simd>(&mut self, simd: S, op: &Linear, parameters: &[T]) {
        let mut output = std::mem::take(&mut self.buffers[op.output.buffer]);
        let mut saved =
            (op.saved != op.output.buffer).then(|| std::mem::take(&mut self.buffers[op.saved]));
        linear::forward(
            simd,
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

    /// Kernel: `shaders/concat.wgsl`.
    fn concat(&mut self, op: &Concat) {
        let mut output = std::mem::take(&mut self.buffers[op.output.buffer]);
        let (frozen, context) = output.split_at_mut(op.frozen.count);
        frozen.copy_from_slice(self.columns(op.frozen));
        context.copy_from_slice(self.columns(op.context));
        self.buffers[op.output.buffer] = output;
    }

    #[inline(always)]
    fn basis<S: Simd>(&mut self, simd: S, op: &Basis) {
        let mut output = std::mem::take(&mut self.buffers[op.output.buffer]);
        basis::forward(simd, op, self.columns(op.input), &mut output);
        self.buffers[op.output.buffer] = output;
    }

    #[inline(always)]
    fn basis_backward<S: Simd>(&mut self, simd: S, plan: &Plan, op: &Basis) {
        if op.input_gradient.is_none() {
            return;
        }
        let slot = |buffer: BufferId| plan.gradient_slots[buffer];
        let input_slot = slot(op.gradient_target.buffer);
        let mut input_gradient = std::mem::take(&mut self.gradients[input_slot]);
        basis::backward(
            simd,
            op,
            self.columns(op.input),
            &self.gradients[slot(op.output.buffer)],
            &mut input_gradient[op.gradient_target.range()],
        );
        self.gradients[input_slot] = input_gradient;
    }

    /// Begins a chunk of blocks, whose gradients are summed.
    pub fn begin(&mut self) {
        self.sums.clear();
        self.begun = false;
    }

    /// What these rows contribute to the gradient of their chunk's loss, given that of each row's log-density (-w/N for a row of weight w, and 0
    /// for lanes that hold no row). Follows [`Block::forward`]. Wide maps' weights have theirs in `gradient` at once, all
    /// others at [`Block::end`].
    pub fn backward(
        &mut self,
        plan: &Plan,
        parameters: &[T],
        row_gradient: &Column<T>,
        gradient: &mut [T],
    ) {
        let pass = Pass::Backward(self, plan, parameters, row_gradient, gradient);
        dispatch(pass);
        self.begun = true;
    }

    /// Ends a chunk: every number of `gradient` is written now.
    pub fn end(&mut self, gradient: &mut [T]) {
        dispatch(Pass::End(self, gradient));
    }

    #[inline(always)]
    fn backward_ops<S: Simd>(
        &mut self,
        simd: S,
        plan: &Plan,
        parameters: &[T],
        row_gradient: &Column<T>,
        gradient: &mut [T],
    ) {
        let latent_slot = plan.gradient_slots[plan.latent()];
        base::backward(
            simd,
            &plan.base,
            parameters,
            &self.buffers[plan.latent()],
            row_gradient,
            &mut self.gradients[latent_slot],
            self.sums.of_base(simd),
        );
        for (index, op) in plan.forward.iter().enumerate().rev() {
            match op {
                Op::Coupling(op) => self.coupling_backward(simd, plan, op, row_gradient),
                Op::Linear(_) => self.linear_backward(simd, plan, index, parameters, gradient),
                Op::Basis(op) => self.basis_backward(simd, plan, op),
                Op::Concat(_) => {}
                Op::Triangular(_) => {
                    self.triangular_backward(simd, plan, index, parameters, row_gradient, gradient);
                }
            }
        }
    }

    #[inline(always)]
    fn triangular_backward<S: Simd>(
        &mut self,
        simd: S,
        plan: &Plan,
        index: usize,
        parameters: &[T],
        row_gradient: &Column<T>,
        gradient: &mut [T],
    ) {
        let Op::Triangular(op) = &plan.forward[index] else {
            unreachable!("called for triangular maps alone")
        };
        let slot = |buffer: BufferId| plan.gradient_slots[buffer];
        let x_slot = slot(op.input);
        let mut x_gradient = std::mem::take(&mut self.gradients[x_slot]);
        let y_gradient = &self.gradients[slot(op.output)];
        triangular::backward_input(simd, op, parameters, y_gradient, &mut x_gradient);
        let x = &self.buffers[op.input];
        let sums = self.sums.of_op(simd, index);
        triangular::backward_weights(simd, op, parameters, x, y_gradient, row_gradient, sums);
        if triangular::is_wide::<T>(op) {
            triangular::wide_backward_weights(op, x, y_gradient, gradient, self.begun);
        }
        self.gradients[x_slot] = x_gradient;
    }

    #[inline(always)]
    fn coupling_backward<S: Simd>(
        &mut self,
        simd: S,
        plan: &Plan,
        op: &Coupling,
        row_gradient: &Column<T>,
    ) {
        let slot = |buffer: BufferId| plan.gradient_slots[buffer];
        let x_slot = slot(op.input);
        let mut x_gradient = std::mem::take(&mut self.gradients[x_slot]);
        let head_slots = [0, 1].map(|head| op.heads.get(head).map(|head| slot(head.buffer)));
        let mut head_gradients = head_slots.map(|slot| match slot {
            Some(slot) => std::mem::take(&mut self.gradients[slot]),
            None => columns::Columns::default(),
        });
        let [first, second] = &mut head_gradients;
        coupling::backward(
            simd,
            op,
            &self.buffers[op.input],
            self.heads(op),
            &self.gradients[slot(op.output)],
            row_gradient,
            &mut x_gradient,
            [first, second],
        );
        self.gradients[x_slot] = x_gradient;
        for (slot, gradient) in head_slots.into_iter().zip(head_gradients) {
            if let Some(slot) = slot {
                self.gradients[slot] = gradient;
            }
        }
    }

    #[inline(always)]
    fn linear_backward<S: Simd>(
        &mut self,
        simd: S,
        plan: &Plan,
        index: usize,
        parameters: &[T],
        gradient: &mut [T],
    ) {
        let Op::Linear(op) = &plan.forward[index] else {
            unreachable!("called for linear maps alone")
        };
        let slot = |buffer: BufferId| plan.gradient_slots[buffer];
        let input = &self.buffers[op.input.buffer][op.input.range()];
        let output_gradient = &self.gradients[slot(op.output.buffer)][op.output.range()];
        let sums = self.sums.of_op(simd, index);
        linear::backward_weights(simd, op, input, output_gradient, sums);
        if linear::is_wide::<T>(op) {
            let add = self.begun;
            linear::wide_backward_weights(op, input, output_gradient, gradient, add);
        }
        let Some(way) = op.input_gradient else {
            return;
        };
        let way = way.map(|saved| Hidden {
            output: &self.buffers[op.input.buffer][op.input.range()],
            saved: &self.buffers[saved],
        });
        let input_slot = slot(op.gradient_target.buffer);
        let mut input_gradient = std::mem::take(&mut self.gradients[input_slot]);
        linear::backward_input(
            simd,
            op,
            parameters,
            &self.gradients[slot(op.output.buffer)][op.output.range()],
            &mut input_gradient[op.gradient_target.range()],
            way,
        );
        self.gradients[input_slot] = input_gradient;
    }
}
