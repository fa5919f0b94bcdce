//! Names the file of each kernel, and chooses the parts that it imports.

use crate::flow::{InputGradient, TransformKind};

use super::choices::{Choices, activation_choice, base_choices, named, saves_input};
use super::{Form, Heads, Kernel, RowWeights, WeightForm};

impl Kernel {
    /// The name of its own file, which is that of its entry point.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::GatherRows(_) => "gather_rows",
            Kernel::Concat => "concat",
            Kernel::LinearForward(_, Form::Tiled) => "linear_forward",
            Kernel::LinearForward(..) => "linear_forward_narrow",
            Kernel::LinearBackwardInput(_, Form::Tiled) => "linear_backward_input",
            Kernel::LinearBackwardInput(..) => "linear_backward_input_narrow",
            Kernel::LinearBackwardWeights(WeightForm::Tiled) => "linear_backward_weights",
            Kernel::LinearBackwardWeights(WeightForm::Narrow) => "linear_backward_weights_narrow",
            Kernel::LinearBackwardWeights(_) => "linear_backward_weights_pair",
            Kernel::BasisForward(_) => "basis_forward",
            Kernel::BasisBackward(_) => "basis_backward",
            Kernel::CouplingForward(..) => "coupling_forward",
            Kernel::CouplingInverse(..) => "coupling_inverse",
            Kernel::CouplingBackward(..) => "coupling_backward",
            Kernel::TriangularForward => "triangular_forward",
            Kernel::TriangularInverse => "triangular_inverse",
            Kernel::TriangularBackwardInput => "triangular_backward_input",
            Kernel::TriangularBackwardWeights(_) => "triangular_backward_weights",
            Kernel::BaseLogProb(_) => "base_log_prob",
            Kernel::BaseBackward(..) => "base_backward",
            Kernel::BaseSample(_) => "base_sample",
            Kernel::SumLogProb(_) => "sum_log_prob",
            Kernel::SumLoss => "sum_loss",
            Kernel::SumPartials => "sum_partials",
            Kernel::GradientNorm => "gradient_norm",
            Kernel::Clip => "clip",
            Kernel::AdamW => "adamw",
            Kernel::Fused(shape) => shape.kernel_name(),
            Kernel::SumGradient => "sum_gradient",
            Kernel::PeakMultiplyAdds => "peak_multiply_adds",
            Kernel::PeakCopy => "peak_copy",
        }
    }

    /// What stands for the parts that it imports.
    pub(super) fn choices(self) -> Choices {
        match self {
            Kernel::LinearForward(activation, form) => vec![
                activation_choice(activation),
                parameters_choice(form),
                match saves_input(activation) {
                    true => ("save", "save_preactivation".into()),
                    false => ("save", "save_nothing".into()),
                },
            ],
            Kernel::LinearBackwardInput(way, form) => {
                let (name, activation) = match way {
                    InputGradient::Add => ("add", None),
                    InputGradient::Write => ("write", None),
                    InputGradient::Through { activation, .. } => {
                        ("through_activation", Some(activation))
                    }
                };
                vec![
                    ("input_gradient", format!("input_gradient_{name}")),
                    activation_choice(activation),
                    parameters_choice(form),
                ]
            }
            Kernel::LinearBackwardWeights(WeightForm::PairInputs) => {
                vec![("pair", "pair_inputs".into())]
            }
            Kernel::LinearBackwardWeights(WeightForm::PairOutputs) => {
                vec![("pair", "pair_outputs".into())]
            }
            Kernel::BasisForward(family) | Kernel::BasisBackward(family) => vec![
                ("basis_family", named("basis", family)),
                ("basis_input", "basis_rows".into()),
            ],
            Kernel::CouplingForward(transform, heads)
            | Kernel::CouplingInverse(transform, heads) => {
                coupling_choices(transform, heads, "head_gradients_none".into())
            }
            Kernel::CouplingBackward(transform, heads, weights) => {
                let gradients = named("head_gradients", heads);
                let mut choices = coupling_choices(transform, heads, gradients);
                choices.push(weights_choice(weights));
                choices
            }
            Kernel::GatherRows(weights) => vec![(
                "gather_weights",
                match weights {
                    RowWeights::Uniform => "gather_weights_none".into(),
                    RowWeights::Stored => "gather_weights_last".into(),
                },
            )],
            Kernel::TriangularBackwardWeights(weights) | Kernel::SumLogProb(weights) => {
                vec![weights_choice(weights)]
            }
            Kernel::BaseLogProb(base) | Kernel::BaseSample(base) => base_choices(base),
            Kernel::BaseBackward(base, weights) => {
                let partials = match base.trained {
                    true => "base_partials",
                    false => "base_no_partials",
                };
                let mut choices = base_choices(base);
                choices.push(("base_partials", partials.into()));
                choices.push(weights_choice(weights));
                choices
            }
            Kernel::Fused(shape) => shape.choices(),
            _ => Vec::new(),
        }
    }
}

fn weights_choice(weights: RowWeights) -> (&'static str, String) {
    ("row_weights", named("row_weights", weights))
}

fn parameters_choice(form: Form) -> (&'static str, String) {
    let file = match form {
        Form::NarrowUniform => "parameters_uniform",
        Form::Narrow | Form::Tiled => "parameters_storage",
    };
    ("parameters", file.into())
}

fn coupling_choices(transform: TransformKind, heads: Heads, gradients: String) -> Choices {
    vec![
        ("transform", named("transform", transform)),
        ("heads", named("heads", heads)),
        ("head_gradients", gradients),
    ]
}
