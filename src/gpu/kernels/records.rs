//! The records that kernels read: structs declared once for Rust and WGSL.

use crate::executor::{AdamWStep, Batch, Fault};
use crate::gpu::shader::record;

record! {
    /// What may change from one dispatch of a kernel to the next: the rows at hand and the optimizer's numbers. It lies
    /// in a ring of such records, bound with a dynamic offset.
    Step {
        /// Rows in the activation buffers now.
        rows: u32,
        /// Rows that the activation buffers have room for: the distance between columns, a multiple of 4.
        stride: u32,
        /// Rows whose gradients are summed by one group.
        rows_per_split: u32,
        /// The first group at hand, where a dispatch is divided.
        first_group: u32,
        /// The number of parameters.
        parameters: u32,
        /// Position in the epoch of the first row.
        first: u32,
        /// Whether positions lead to rows through the shuffle.
        shuffled: u32,
        /// Rows of the data.
        data_rows: u32,
        half_bits: u32,
        key0: u32,
        key1: u32,
        key2: u32,
        key3: u32,
        key4: u32,
        key5: u32,
        key6: u32,
        key7: u32,
        /// 1 / (rows of the whole batch).
        inv_batch_size: f32,
        /// Whether gradient and loss are added to those of the batch's earlier rows.
        add: u32,
        /// Where the loss goes.
        slot: u32,
        learning_rate: f32,
        weight_decay: f32,
        clip_norm: f32,
        first_correction: f32,
        second_correction: f32,
        average_weight: f32,
        seed_low: u32,
        seed_high: u32,
        sample_row_low: u32,
        sample_row_high: u32,
    }
}

impl Step {
    /// The rows of a batch, from position `position` of it on.
    pub fn visit(&mut self, batch: &Batch, index: u32) {
        self.first = batch.first + index;
        if let Some(shuffle) = &batch.shuffle {
            self.shuffled = 1;
            self.data_rows = shuffle.rows;
            self.half_bits = shuffle.half_bits;
            [
                self.key0, self.key1, self.key2, self.key3, self.key4, self.key5, self.key6,
                self.key7,
            ] = shuffle.keys;
        }
    }

    /// The numbers of an optimizer step.
    pub fn optimize(&mut self, numbers: &AdamWStep) {
        self.learning_rate = numbers.learning_rate as f32;
        self.weight_decay = numbers.weight_decay as f32;
        self.clip_norm = numbers.clip_norm as f32;
        self.first_correction = numbers.first_correction as f32;
        self.second_correction = numbers.second_correction as f32;
        self.average_weight = numbers.average_weight as f32;
    }
}

record! {
    /// The columns of a conditioner's input.
    Concat {
        frozen_first: u32,
        frozen_count: u32,
        context_first: u32,
    }
}

record! {
    /// A linear map: its shape, its columns in the activation buffers, its position in the parameters.
    Linear {
        inputs: u32,
        outputs: u32,
        input_first: u32,
        output_first: u32,
        weight: u32,
        /// How far apart are the weights of neighboring outputs, and of neighboring inputs.
        by_output: u32,
        by_input: u32,
        bias: u32,
        /// Whether there is a bias.
        biased: u32,
    }
}

record! {
    /// A polynomial basis.
    Basis {
        input_first: u32,
        /// Where the gradients of the first inputs go.
        gradient_first: u32,
        /// Where its terms begin in the table of all.
        first: u32,
        /// The distance between two terms in their table.
        pitch: u32,
        /// Where the lists by dimension begin in the table.
        dimensions: u32,
        input_bound: f32,
    }
}

record! {
    /// A coupling transform.
    Coupling {
        dims: u32,
        active_first: u32,
        active_count: u32,
        /// How far apart in one head are neighboring parameters, and the same parameter of neighboring columns.
        by_parameter: u32,
        by_column: u32,
        /// The affine transform's bound of the log-scale, the spline's of what it bends.
        bound: f32,
        /// The spline's.
        bins: u32,
    }
}

impl Coupling {
    /// The record of a coupling, with its transform's settings.
    pub fn of(op: &crate::flow::Coupling, dims: usize) -> Self {
        let (by_parameter, by_column) = op.strides;
        let (bound, bins) = op.transform.kernel_settings();
        Coupling {
            dims: dims as u32,
            active_first: op.active.start as u32,
            active_count: op.active.len() as u32,
            by_parameter: by_parameter as u32,
            by_column: by_column as u32,
            bound: bound as f32,
            bins: bins as u32,
        }
    }
}

record! {
    /// A triangular map.
    Triangular {
        dims: u32,
        matrix: u32,
        log_diagonal: u32,
        /// Else it is lower.
        upper: u32,
    }
}

record! {
    /// The base density.
    BaseDensity {
        dims: u32,
        location: u32,
        raw_spread: u32,
    }
}

record! {
    /// A run of the data's rows, in a buffer of its own.
    Segment {
        dims: u32,
        first: u32,
        rows: u32,
    }
}

record! {
    /// A coupling layer of the fused kernel, with the mixing in front of it; the base's parameters lie in all of them. Columns are
    /// those of a tile, but for `saved`, among those that a group puts saved.
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
        saved: u32,
        /// Whether there is mixing in front.
        mixed: u32,
        upper: u32,
        log_diagonal: u32,
        lower: u32,
        saved_mixing: u32,
        location: u32,
        raw_spread: u32,
        /// Of a polynomial basis: as in [`Basis`], the columns of its terms and of their gradients, and how many of its
        /// inputs need theirs.
        input_first: u32,
        first: u32,
        pitch: u32,
        dimensions: u32,
        input_bound: f32,
        term_count: u32,
        term_values: u32,
        term_gradients: u32,
        inputs_with_gradient: u32,
        /// The frozen columns: where there is context, they are copied in front of it.
        frozen_first: u32,
        frozen_count: u32,
        padding0: u32,
        padding1: u32,
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
        /// How many of the inputs, the first ones, need their gradient.
        inputs_with_gradient: u32,
    }
}

record! {
    /// What stands between gradient and parameters. Once there is a fault, no step is taken until the host opens it again.
    Gate {
        /// What the gradient is multiplied by.
        factor: f32,
        /// One of the `FAULT_` numbers.
        fault: u32,
        /// Where the loss of the last step went, or of the one that had the fault.
        slot: u32,
        /// 1 + the slot of the step whose update made a parameter that is not finite; else 0.
        overflow: u32,
    }
}

/// Numbers of the faults in a [`Gate`].
pub const FAULTS: [(&str, u32); 4] = [
    ("FAULT_NONE", 0),
    ("FAULT_LOSS", 1),
    ("FAULT_GRADIENT", 2),
    ("FAULT_PARAMETERS", 3),
];

impl Gate {
    pub fn fault(&self) -> Option<Fault> {
        match self.fault {
            1 => Some(Fault::Loss),
            2 => Some(Fault::Gradient),
            3 => Some(Fault::Parameters),
            // No later step was there to notice.
            _ if self.overflow != 0 => Some(Fault::Parameters),
            _ => None,
        }
    }

    /// The slot of the step that had the fault.
    pub fn fault_slot(&self) -> usize {
        match self.fault {
            0 => self.overflow as usize - 1,
            _ => self.slot as usize,
        }
    }
}
