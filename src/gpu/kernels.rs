use std::borrow::Cow;
use std::fmt::Write;

use crate::executor::{AdamWStep, BETA1, BETA2, Batch, EPSILON, Fault};
use crate::flow::{
    Activation, Base, Density, Family, InputGradient, SPLINE_MINIMUM, SPLINE_SLOPE_OFFSET,
    Transform,
};
use crate::random::Purpose;

use super::fused::{Lanes, Shape};
use super::shader::{File, Source, file, record};

/// Invocations of a group in kernels that have no tile, and the width of a group's tree sum.
pub const GROUP: u32 = 64;
/// The tile of the matrix products: TILE by TILE numbers of the result a group, the summed dimension in steps of
/// `TILE_DEPTH`. An invocation makes eight by eight of them, so that 64 products follow on 16 numbers loaded.
pub const TILE: u32 = 64;
pub const TILE_DEPTH: u32 = 8;
/// Numbers of the gradient whose squares one invocation sums.
pub const NORM_SPAN: u32 = 64;
/// How often an invocation of `ceiling_multiply_adds` goes round: well below what a software adapter grants.
pub const CEILING_ROUNDS: u32 = 4096;
/// As many parameters as a uniform binding holds under the WebGPU default limits (64 KiB).
pub const UNIFORM_PARAMETERS: u32 = 16_384;

record! {
    /// What may change from one dispatch of a kernel to the next: the rows at hand and the optimiser's numbers. It lies
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
        /// Place in the epoch of the first row at hand.
        first: u32,
        /// Whether places lead to rows through the shuffle.
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
        share: f32,
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
    /// The rows of a batch, from place `place` of it on.
    pub fn visit(&mut self, batch: &Batch, place: u32) {
        self.first = batch.first + place;
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

    /// The numbers of an optimiser step.
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
    /// A linear map: its shape, its columns in the activation buffers, its place in the parameters.
    Linear {
        inputs: u32,
        outputs: u32,
        input_first: u32,
        output_first: u32,
        weight: u32,
        /// How far apart are the weights of neighbouring outputs, and of neighbouring inputs.
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
        /// How far apart in one head are neighbouring parameters, and the same parameter of neighbouring columns.
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
        Coupling {
            dims: dims as u32,
            active_first: op.active.start as u32,
            active_count: op.active.len() as u32,
            by_parameter: by_parameter as u32,
            by_column: by_column as u32,
            bound: match op.transform {
                Transform::Affine { scale_bound } => scale_bound as f32,
                Transform::Additive => 0.0,
                Transform::Spline { bound, .. } => bound as f32,
            },
            bins: match op.transform {
                Transform::Spline { bins, .. } => bins as u32,
                _ => 0,
            },
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

/// How a kernel uses a binding of group 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Uniform,
    Read,
    Write,
}

/// Every kernel, with its variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    GatherRows,
    LinearForward(Option<Activation>, Form),
    LinearBackwardInput(InputGradient<()>, Form),
    LinearBackwardWeights(WeightForm),
    BasisForward(Family),
    BasisBackward(Family),
    CouplingForward(Elementwise, Heads),
    CouplingInverse(Elementwise, Heads),
    CouplingBackward(Elementwise, Heads),
    TriangularForward,
    TriangularInverse,
    TriangularBackwardInput,
    TriangularBackwardWeights,
    BaseLogProb(Base),
    BaseBackward(Base),
    BaseSample(Base),
    SumLogProb,
    SumLoss,
    SumPartials,
    GradientNorm,
    Clip,
    AdamW,
    Fused(Shape),
    SumGradient,
    CeilingMultiplyAdds,
    CeilingCopy,
}

/// How a matrix product is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Tiles in workgroup memory, for wide maps.
    Tiled,
    /// Straight from the buffers, for maps with few inputs or outputs.
    Narrow,
    /// As `Narrow`, with the parameters in a uniform buffer.
    NarrowUniform,
}

impl Form {
    /// The form for a map of this shape in a model of so many parameters.
    pub fn of(inputs: usize, outputs: usize, parameters: usize) -> Self {
        // A map that leaves more than half of a tile empty is better off without.
        if inputs.min(outputs) > TILE as usize / 2 {
            Form::Tiled
        } else if parameters <= UNIFORM_PARAMETERS as usize {
            Form::NarrowUniform
        } else {
            Form::Narrow
        }
    }
}

/// How the weight gradients are cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightForm {
    /// Tiles in workgroup memory, for wide maps.
    Tiled,
    /// Four by four a group, for maps with few inputs or outputs.
    Narrow,
    /// At most two inputs.
    PairInputs,
    /// At most two outputs.
    PairOutputs,
}

impl WeightForm {
    /// Every form that can make the weight gradients of a map of this shape, the best one first.
    pub fn of(inputs: usize, outputs: usize) -> Vec<Self> {
        let mut forms = vec![WeightForm::Narrow, WeightForm::Tiled];
        if inputs.min(outputs) > TILE as usize / 2 {
            forms.reverse();
        }
        if outputs <= 2 {
            forms.insert(0, WeightForm::PairOutputs);
        }
        if inputs <= 2 {
            forms.insert(0, WeightForm::PairInputs);
        }
        forms
    }
}

/// What a coupling does to its active columns: [`Transform`] without its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Elementwise {
    Affine,
    Additive,
    Spline,
}

impl Elementwise {
    pub fn of(transform: Transform) -> Self {
        match transform {
            Transform::Affine { .. } => Elementwise::Affine,
            Transform::Additive => Elementwise::Additive,
            Transform::Spline { .. } => Elementwise::Spline,
        }
    }

    /// Every transform with the heads that it may have.
    const ALL: [(Elementwise, Heads); 4] = [
        (Elementwise::Affine, Heads::One),
        (Elementwise::Affine, Heads::Two),
        (Elementwise::Additive, Heads::One),
        (Elementwise::Spline, Heads::One),
    ];

    pub fn file(self) -> File {
        match self {
            Elementwise::Affine => file!("shared/transform_affine.wgsl"),
            Elementwise::Additive => file!("shared/transform_additive.wgsl"),
            Elementwise::Spline => file!("shared/transform_spline.wgsl"),
        }
    }
}

/// Where a transform's parameters lie, and their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heads {
    /// In one buffer.
    One,
    /// Each in its own.
    Two,
}

impl Heads {
    fn file(self) -> File {
        match self {
            Heads::One => file!("shared/heads_one.wgsl"),
            Heads::Two => file!("shared/heads_two.wgsl"),
        }
    }
}

const NUMBERS: File = file!("shared/numbers.wgsl");
const SUM: File = file!("shared/sum.wgsl");
const SQUARES: File = file!("shared/squares.wgsl");
pub const BOUNDED: File = file!("shared/bounded.wgsl");
pub const PARAMETERS: File = file!("shared/parameters_storage.wgsl");
pub const PARAMETERS_UNIFORM: File = file!("shared/parameters_uniform.wgsl");
pub const MOVED: File = file!("shared/moved.wgsl");
const AT: File = file!("shared/at.wgsl");
const COUPLING: File = file!("shared/coupling.wgsl");
const SPLITS: File = file!("shared/splits.wgsl");
const SPLIT_GRADIENTS: File = file!("shared/split_gradients.wgsl");
const SPLIT_LOSSES: File = file!("shared/split_losses.wgsl");
pub const OUTER: File = file!("shared/outer.wgsl");
const PRODUCT: File = file!("shared/product.wgsl");
const TRIANGULAR: File = file!("shared/triangular.wgsl");
pub const BASIS: File = file!("shared/basis.wgsl");
pub const BASIS_SLOPES: File = file!("shared/basis_slopes.wgsl");

impl Kernel {
    /// Every kernel in every variant, for tests that must see them all.
    pub fn all() -> Vec<Kernel> {
        let activations = || Activation::ALL.map(Some).into_iter().chain([None]);
        let through = Activation::ALL.map(|activation| InputGradient::Through {
            activation,
            saved: (),
        });
        let ways = || {
            let others = [InputGradient::Add, InputGradient::Write];
            others.into_iter().chain(through)
        };
        let mut all = vec![
            Kernel::GatherRows,
            Kernel::LinearBackwardWeights(WeightForm::Tiled),
            Kernel::LinearBackwardWeights(WeightForm::Narrow),
            Kernel::LinearBackwardWeights(WeightForm::PairInputs),
            Kernel::LinearBackwardWeights(WeightForm::PairOutputs),
            Kernel::TriangularForward,
            Kernel::TriangularInverse,
            Kernel::TriangularBackwardInput,
            Kernel::TriangularBackwardWeights,
            Kernel::SumLogProb,
            Kernel::SumLoss,
            Kernel::SumPartials,
            Kernel::GradientNorm,
            Kernel::Clip,
            Kernel::AdamW,
            Kernel::SumGradient,
            Kernel::CeilingMultiplyAdds,
            Kernel::CeilingCopy,
        ];
        all.extend(Shape::examples().map(Kernel::Fused));
        for (map, heads) in Elementwise::ALL {
            all.extend([
                Kernel::CouplingForward(map, heads),
                Kernel::CouplingInverse(map, heads),
                Kernel::CouplingBackward(map, heads),
            ]);
        }
        for form in [Form::Tiled, Form::Narrow, Form::NarrowUniform] {
            all.extend(activations().map(|activation| Kernel::LinearForward(activation, form)));
            all.extend(ways().map(|way| Kernel::LinearBackwardInput(way, form)));
        }
        for family in [Family::Hermite, Family::Legendre] {
            all.extend([Kernel::BasisForward(family), Kernel::BasisBackward(family)]);
        }
        for base in Base::ALL {
            all.extend([
                Kernel::BaseLogProb(base),
                Kernel::BaseBackward(base),
                Kernel::BaseSample(base),
            ]);
        }
        all
    }

    /// The entry point, and the name of the kernel's file.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::GatherRows => "gather_rows",
            Kernel::LinearForward(_, Form::Tiled) => "linear_forward",
            Kernel::LinearForward(..) => "linear_forward_narrow",
            Kernel::LinearBackwardInput(_, Form::Tiled) => "linear_backward_input",
            Kernel::LinearBackwardInput(..) => "linear_backward_input_narrow",
            Kernel::LinearBackwardWeights(form) => match form {
                WeightForm::Tiled => "linear_backward_weights",
                WeightForm::Narrow => "linear_backward_weights_narrow",
                _ => "linear_backward_weights_pair",
            },
            Kernel::BasisForward(_) => "basis_forward",
            Kernel::BasisBackward(_) => "basis_backward",
            Kernel::CouplingForward(..) => "coupling_forward",
            Kernel::CouplingInverse(..) => "coupling_inverse",
            Kernel::CouplingBackward(..) => "coupling_backward",
            Kernel::TriangularForward => "triangular_forward",
            Kernel::TriangularInverse => "triangular_inverse",
            Kernel::TriangularBackwardInput => "triangular_backward_input",
            Kernel::TriangularBackwardWeights => "triangular_backward_weights",
            Kernel::BaseLogProb(_) => "base_log_prob",
            Kernel::BaseBackward(_) => "base_backward",
            Kernel::BaseSample(_) => "base_sample",
            Kernel::SumLogProb => "sum_log_prob",
            Kernel::SumLoss => "sum_loss",
            Kernel::SumPartials => "sum_partials",
            Kernel::GradientNorm => "gradient_norm",
            Kernel::Clip => "clip",
            Kernel::AdamW => "adamw",
            Kernel::Fused(shape) => shape.pass.name(),
            Kernel::SumGradient => "sum_gradient",
            Kernel::CeilingMultiplyAdds => "ceiling_multiply_adds",
            Kernel::CeilingCopy => "ceiling_copy",
        }
    }

    /// Whether hardware GPUs run it; else it is in the shape that suits software adapters alone.
    pub fn is_for_hardware(self) -> bool {
        !matches!(self, Kernel::Fused(shape) if shape.lanes == Lanes::Few)
    }

    fn files(self) -> Vec<File> {
        match self {
            Kernel::GatherRows => vec![file!("shared/shuffle.wgsl"), file!("gather_rows.wgsl")],
            Kernel::LinearForward(activation, form) => {
                let mut files = activation_files(activation);
                files.extend([
                    match saves_input(activation) {
                        true => file!("shared/save_pre.wgsl"),
                        false => file!("shared/save_nothing.wgsl"),
                    },
                    parameter_file(form),
                    AT,
                    file!("shared/linear_forward.wgsl"),
                ]);
                match form {
                    Form::Tiled => files.extend([OUTER, PRODUCT, file!("linear_forward.wgsl")]),
                    _ => files.push(file!("linear_forward_narrow.wgsl")),
                }
                files
            }
            Kernel::LinearBackwardInput(way, form) => {
                let mut files = match way {
                    InputGradient::Add => vec![file!("shared/into_add.wgsl")],
                    InputGradient::Write => vec![file!("shared/into_write.wgsl")],
                    InputGradient::Through { activation, .. } => {
                        let mut files = activation_files(Some(activation));
                        files.push(file!("shared/into_through.wgsl"));
                        files
                    }
                };
                files.extend([
                    parameter_file(form),
                    AT,
                    file!("shared/linear_backward_input.wgsl"),
                ]);
                match form {
                    Form::Tiled => {
                        files.extend([OUTER, PRODUCT, file!("linear_backward_input.wgsl")]);
                    }
                    _ => files.push(file!("linear_backward_input_narrow.wgsl")),
                }
                files
            }
            Kernel::BasisForward(family) => {
                let mut files = basis_files(family);
                files.push(file!("basis_forward.wgsl"));
                files
            }
            Kernel::BasisBackward(family) => {
                let mut files = basis_files(family);
                files.extend([BASIS_SLOPES, file!("basis_backward.wgsl")]);
                files
            }
            Kernel::LinearBackwardWeights(form) => {
                let mut files = vec![file!("shared/linear_backward_weights.wgsl")];
                if form != WeightForm::Tiled {
                    files.push(file!("shared/lane_sums.wgsl"));
                }
                files.extend(match form {
                    WeightForm::Tiled => vec![file!("linear_backward_weights.wgsl")],
                    WeightForm::Narrow => vec![file!("linear_backward_weights_narrow.wgsl")],
                    WeightForm::PairInputs => vec![
                        file!("shared/pair_inputs.wgsl"),
                        file!("linear_backward_weights_pair.wgsl"),
                    ],
                    WeightForm::PairOutputs => vec![
                        file!("shared/pair_outputs.wgsl"),
                        file!("linear_backward_weights_pair.wgsl"),
                    ],
                });
                files
            }
            Kernel::CouplingForward(map, heads) => {
                let mut files = coupling_files(map, heads);
                files.push(file!("shared/head_gradients_none.wgsl"));
                files.push(file!("coupling_forward.wgsl"));
                files
            }
            Kernel::CouplingInverse(map, heads) => {
                let mut files = coupling_files(map, heads);
                files.push(file!("shared/head_gradients_none.wgsl"));
                files.push(file!("coupling_inverse.wgsl"));
                files
            }
            Kernel::CouplingBackward(map, heads) => {
                let mut files = coupling_files(map, heads);
                files.push(match heads {
                    Heads::One => file!("shared/head_gradients_one.wgsl"),
                    Heads::Two => file!("shared/head_gradients_two.wgsl"),
                });
                files.push(file!("coupling_backward.wgsl"));
                files
            }
            Kernel::TriangularForward => {
                vec![AT, TRIANGULAR, file!("triangular_forward.wgsl")]
            }
            Kernel::TriangularInverse => {
                vec![AT, TRIANGULAR, file!("triangular_inverse.wgsl")]
            }
            Kernel::TriangularBackwardInput => {
                vec![AT, TRIANGULAR, file!("triangular_backward_input.wgsl")]
            }
            Kernel::TriangularBackwardWeights => {
                vec![
                    AT,
                    TRIANGULAR,
                    SUM,
                    file!("triangular_backward_weights.wgsl"),
                ]
            }
            Kernel::BaseLogProb(base) => {
                let mut files = base_files(base);
                files.push(file!("base_log_prob.wgsl"));
                files
            }
            Kernel::BaseBackward(base) => {
                let mut files = base_files(base);
                files.push(if base.trained {
                    file!("shared/base_partials.wgsl")
                } else {
                    file!("shared/base_no_partials.wgsl")
                });
                files.extend([SUM, file!("base_backward.wgsl")]);
                files
            }
            Kernel::BaseSample(base) => {
                let mut files = base_files(base);
                files.extend([file!("shared/philox.wgsl"), file!("base_sample.wgsl")]);
                files
            }
            Kernel::SumLogProb => vec![SUM, file!("sum_log_prob.wgsl")],
            Kernel::SumLoss => vec![SUM, SPLITS, SPLIT_LOSSES, file!("sum_loss.wgsl")],
            Kernel::SumPartials => vec![SPLITS, SPLIT_GRADIENTS, file!("sum_partials.wgsl")],
            Kernel::GradientNorm => vec![SUM, SQUARES, file!("gradient_norm.wgsl")],
            Kernel::Clip => vec![SUM, SQUARES, file!("clip.wgsl")],
            Kernel::AdamW => vec![SQUARES, file!("adamw.wgsl")],
            Kernel::Fused(shape) => shape.files(),
            Kernel::SumGradient => vec![
                SUM,
                SQUARES,
                SPLITS,
                SPLIT_GRADIENTS,
                SPLIT_LOSSES,
                file!("sum_gradient.wgsl"),
            ],
            Kernel::CeilingMultiplyAdds => vec![file!("ceiling_multiply_adds.wgsl")],
            Kernel::CeilingCopy => vec![file!("ceiling_copy.wgsl")],
        }
    }

    /// The bindings of group 1: number and access.
    pub fn bindings(self) -> Cow<'static, [(u32, Access)]> {
        use Access::{Read, Uniform, Write};
        Cow::Borrowed(match self {
            Kernel::Fused(shape) => return Cow::Owned(shape.bindings()),
            Kernel::GatherRows => &[(0, Uniform), (1, Read), (2, Write), (3, Write)],
            Kernel::LinearForward(activation, form) => match (saves_input(activation), form) {
                (true, Form::NarrowUniform) => &[
                    (0, Uniform),
                    (1, Uniform),
                    (2, Read),
                    (4, Write),
                    (5, Write),
                ],
                (true, _) => &[(0, Uniform), (1, Read), (2, Read), (4, Write), (5, Write)],
                (_, Form::NarrowUniform) => &[(0, Uniform), (1, Uniform), (2, Read), (4, Write)],
                _ => &[(0, Uniform), (1, Read), (2, Read), (4, Write)],
            },
            Kernel::LinearBackwardInput(_, form) => match form {
                Form::NarrowUniform => {
                    &[(0, Uniform), (1, Uniform), (2, Read), (3, Read), (4, Write)]
                }
                _ => &[(0, Uniform), (1, Read), (2, Read), (3, Read), (4, Write)],
            },
            Kernel::LinearBackwardWeights(_) => &[(0, Uniform), (1, Read), (2, Read), (3, Write)],
            Kernel::BasisForward(_) => &[(0, Uniform), (1, Read), (2, Read), (3, Write)],
            Kernel::BasisBackward(_) => {
                &[(0, Uniform), (1, Read), (2, Read), (3, Read), (4, Write)]
            }
            Kernel::CouplingForward(_, heads) => match heads {
                Heads::One => &[(0, Uniform), (1, Read), (2, Read), (4, Write), (5, Write)],
                Heads::Two => &[
                    (0, Uniform),
                    (1, Read),
                    (2, Read),
                    (3, Read),
                    (4, Write),
                    (5, Write),
                ],
            },
            Kernel::CouplingInverse(_, heads) => match heads {
                Heads::One => &[(0, Uniform), (1, Read), (2, Read), (4, Write)],
                Heads::Two => &[(0, Uniform), (1, Read), (2, Read), (3, Read), (4, Write)],
            },
            Kernel::CouplingBackward(_, heads) => match heads {
                Heads::One => &[
                    (0, Uniform),
                    (1, Read),
                    (2, Read),
                    (4, Read),
                    (5, Write),
                    (6, Write),
                ],
                Heads::Two => &[
                    (0, Uniform),
                    (1, Read),
                    (2, Read),
                    (3, Read),
                    (4, Read),
                    (5, Write),
                    (6, Write),
                    (7, Write),
                ],
            },
            Kernel::TriangularForward => {
                &[(0, Uniform), (1, Read), (2, Read), (3, Write), (4, Write)]
            }
            Kernel::TriangularInverse | Kernel::TriangularBackwardInput => {
                &[(0, Uniform), (1, Read), (2, Read), (3, Write)]
            }
            Kernel::TriangularBackwardWeights => {
                &[(0, Uniform), (1, Read), (2, Read), (3, Read), (4, Write)]
            }
            Kernel::BaseLogProb(_) => &[(0, Uniform), (1, Read), (2, Read), (3, Read), (4, Write)],
            Kernel::BaseBackward(base) if base.trained => {
                &[(0, Uniform), (1, Read), (2, Read), (3, Write), (4, Write)]
            }
            Kernel::BaseBackward(_) => &[(0, Uniform), (1, Read), (2, Read), (3, Write)],
            Kernel::BaseSample(_) => &[(0, Uniform), (1, Read), (2, Write)],
            Kernel::SumLogProb | Kernel::SumLoss | Kernel::SumPartials | Kernel::GradientNorm => {
                &[(1, Read), (2, Write)]
            }
            Kernel::Clip => &[(1, Read), (2, Read), (3, Write)],
            Kernel::AdamW => &[
                (1, Read),
                (2, Write),
                (3, Write),
                (4, Write),
                (5, Write),
                (6, Write),
            ],
            Kernel::SumGradient => &[(1, Read), (2, Read), (3, Write), (4, Write), (5, Write)],
            Kernel::CeilingMultiplyAdds => &[(0, Write)],
            Kernel::CeilingCopy => &[(0, Read), (1, Write)],
        })
    }

    /// The whole WGSL of this kernel.
    pub fn source(self) -> Source {
        let mut prelude = prelude();
        if let Kernel::Fused(shape) = self {
            prelude += &shape.prelude();
        }
        Source::compose(&prelude, &self.files())
    }
}

/// Whether what goes into an activation is saved for its slope.
pub fn saves_input(activation: Option<Activation>) -> bool {
    activation.is_some_and(|activation| !activation.is_enough_for_slope())
}

pub fn activation_files(activation: Option<Activation>) -> Vec<File> {
    let file = match activation {
        None => file!("shared/activation_identity.wgsl"),
        Some(Activation::Tanh) => file!("shared/activation_tanh.wgsl"),
        Some(Activation::Relu) => file!("shared/activation_relu.wgsl"),
        Some(Activation::Silu) => file!("shared/activation_silu.wgsl"),
        Some(Activation::Gelu) => file!("shared/activation_gelu.wgsl"),
    };
    vec![NUMBERS, file]
}

fn coupling_files(map: Elementwise, heads: Heads) -> Vec<File> {
    vec![
        NUMBERS,
        BOUNDED,
        MOVED,
        AT,
        COUPLING,
        heads.file(),
        map.file(),
    ]
}

fn parameter_file(form: Form) -> File {
    match form {
        Form::NarrowUniform => PARAMETERS_UNIFORM,
        _ => PARAMETERS,
    }
}

fn basis_files(family: Family) -> Vec<File> {
    vec![
        NUMBERS,
        BOUNDED,
        AT,
        file!("shared/basis_rows.wgsl"),
        BASIS,
        basis_file(family),
    ]
}

pub fn basis_file(family: Family) -> File {
    match family {
        Family::Hermite => file!("shared/basis_hermite.wgsl"),
        Family::Legendre => file!("shared/basis_legendre.wgsl"),
    }
}

fn base_files(base: Base) -> Vec<File> {
    let mut files = vec![NUMBERS, PARAMETERS];
    files.extend(density_files(base));
    files
}

/// The density itself, whatever binding its parameters lie in.
pub fn density_files(base: Base) -> Vec<File> {
    vec![
        file!("shared/normal.wgsl"),
        if base.trained {
            file!("shared/base_trained.wgsl")
        } else {
            file!("shared/base_fixed.wgsl")
        },
        match base.density {
            Density::Normal => file!("shared/density_normal.wgsl"),
            Density::Logistic => file!("shared/density_logistic.wgsl"),
        },
    ]
}

/// The numbers and records that Rust and WGSL share, written from the Rust ones.
fn prelude() -> String {
    let mut text = String::new();
    for (name, value) in [
        ("GROUP", GROUP),
        ("TILE", TILE),
        ("TILE_DEPTH", TILE_DEPTH),
        ("NORM_SPAN", NORM_SPAN),
        ("UNIFORM_PARAMETERS", UNIFORM_PARAMETERS),
        ("CEILING_ROUNDS", CEILING_ROUNDS),
        ("PURPOSE_NOISE", Purpose::Noise as u32),
    ]
    .into_iter()
    .chain(FAULTS)
    {
        let _ = writeln!(text, "const {name} = {value}u;");
    }
    for (name, value) in [
        ("BETA1", BETA1),
        ("BETA2", BETA2),
        ("EPSILON", EPSILON),
        ("SPLINE_MINIMUM", SPLINE_MINIMUM),
        ("SPLINE_SLOPE_OFFSET", SPLINE_SLOPE_OFFSET),
    ] {
        let _ = writeln!(text, "const {name} = {value:?};");
    }
    for record in [
        Step::WGSL,
        Linear::WGSL,
        Basis::WGSL,
        Coupling::WGSL,
        Triangular::WGSL,
        BaseDensity::WGSL,
        Segment::WGSL,
        Gate::WGSL,
    ] {
        text.push_str(record);
    }
    text.push_str("@group(0) @binding(0) var<uniform> step: Step;\n");
    text
}
