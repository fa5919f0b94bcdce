//! The files that each kernel is composed of.

use crate::flow::{Activation, Base, Density, Family, InputGradient};
use crate::gpu::shader::{File, file};

use super::{Elementwise, Form, Heads, Kernel, WeightForm};

const NUMBERS: File = file!("shared/numbers.wgsl");
const SUM: File = file!("shared/sum.wgsl");
const SQUARES: File = file!("shared/squares.wgsl");
pub const BOUNDED: File = file!("shared/bounded.wgsl");
pub const PARAMETERS: File = file!("shared/parameters_storage.wgsl");
const PARAMETERS_UNIFORM: File = file!("shared/parameters_uniform.wgsl");
pub const MOVED: File = file!("shared/moved.wgsl");
const AT: File = file!("shared/at.wgsl");
const COUPLING: File = file!("shared/coupling.wgsl");
const SPLITS: File = file!("shared/splits.wgsl");
const SPLIT_GRADIENTS: File = file!("shared/split_gradients.wgsl");
const SPLIT_LOSSES: File = file!("shared/split_losses.wgsl");
pub const OUTER: File = file!("shared/outer.wgsl");
const PRODUCT: File = file!("shared/product.wgsl");
const FOUR_WEIGHTS: File = file!("shared/four_weights.wgsl");
const TRIANGULAR: File = file!("shared/triangular.wgsl");
pub const BASIS: File = file!("shared/basis.wgsl");
pub const BASIS_SLOPES: File = file!("shared/basis_slopes.wgsl");

impl Kernel {
    /// What it is composed of, in this order.
    pub(super) fn files(self) -> Vec<File> {
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
                    Form::Tiled => {
                        files.extend([OUTER, FOUR_WEIGHTS, PRODUCT, file!("linear_forward.wgsl")])
                    }
                    Form::Narrow | Form::NarrowUniform => {
                        files.push(file!("linear_forward_narrow.wgsl"))
                    }
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
                        files.extend([
                            OUTER,
                            FOUR_WEIGHTS,
                            PRODUCT,
                            file!("linear_backward_input.wgsl"),
                        ]);
                    }
                    Form::Narrow | Form::NarrowUniform => {
                        files.push(file!("linear_backward_input_narrow.wgsl"))
                    }
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
