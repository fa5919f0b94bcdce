mod choices;
mod constants;
mod files;
mod fused;
mod records;
mod variants;

use std::fmt::Write;

use crate::executor::{BETA1, BETA2, EPSILON};
use crate::flow::{
    Activation, Base, Family, InputGradient, SPLINE_DERIVATIVE_OFFSET, SPLINE_MINIMUM,
    TransformKind,
};
use crate::random::Purpose;

use super::shader::Source;

pub use super::device::UNIFORM_PARAMETERS;

pub use constants::{GROUP, NORM_SPAN, PEAK_ROUNDS, TILE, TILE_DEPTH};
pub use fused::{FOUR, Offsets, Pass, Shape};
pub use records::{
    BaseDensity, Basis, Concat, Coupling, FAULTS, FusedLayer, FusedMap, Gate, Linear, Segment,
    Step, Triangular,
};
pub use variants::{Form, Heads, RowWeights, WeightForm};

/// Every kernel, with its variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// The rows of a batch, and a fresh log-determinant for each.
    GatherRows(RowWeights),
    /// Frozen columns and context, side by side.
    Concat,
    /// A layer of a network, or coefficients by polynomials.
    LinearForward(Option<Activation>, Form),
    /// The gradient of what went into a linear map.
    LinearBackwardInput(InputGradient<()>, Form),
    /// The gradient of its weights and biases, in splits of the batch.
    LinearBackwardWeights(WeightForm),
    /// Polynomials of the frozen columns.
    BasisForward(Family),
    /// The gradient of those columns.
    BasisBackward(Family),
    /// The map of a layer's active columns.
    CouplingForward(TransformKind, Heads),
    /// The same, backwards.
    CouplingInverse(TransformKind, Heads),
    /// The gradients of the columns and of what shaped the map.
    CouplingBackward(TransformKind, Heads, RowWeights),
    /// Half of a mixing.
    TriangularForward,
    /// The same, backwards.
    TriangularInverse,
    /// The gradient of what went into it.
    TriangularBackwardInput,
    /// The gradient of its numbers, in splits of the batch.
    TriangularBackwardWeights(RowWeights),
    /// The log-density of each row's latent.
    BaseLogProb(Base),
    /// The gradient of the latent, and of the base's parameters.
    BaseBackward(Base, RowWeights),
    /// Latent rows, drawn.
    BaseSample(Base),
    /// The weighted sum of log-densities.
    SumLogProb(RowWeights),
    /// The loss of a step, from its splits.
    SumLoss,
    /// Gradients from their splits.
    SumPartials,
    /// Sums of squares of the gradient.
    GradientNorm,
    /// What the gradient is scaled by, and whether the step may be taken.
    Clip,
    /// The step of the optimizer.
    AdamW,
    /// A whole flow in one kernel.
    Fused(Shape),
    /// Gradient, sums of squares and loss, from their splits.
    SumGradient,
    /// Multiply-adds alone.
    PeakMultiplyAdds,
    /// Copying alone.
    PeakCopy,
}

impl Kernel {
    /// Every kernel in every variant, for tests that must see them all.
    #[cfg(feature = "testing")]
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
            Kernel::Concat,
            Kernel::LinearBackwardWeights(WeightForm::Tiled),
            Kernel::LinearBackwardWeights(WeightForm::Narrow),
            Kernel::LinearBackwardWeights(WeightForm::PairInputs),
            Kernel::LinearBackwardWeights(WeightForm::PairOutputs),
            Kernel::TriangularForward,
            Kernel::TriangularInverse,
            Kernel::TriangularBackwardInput,
            Kernel::SumLoss,
            Kernel::SumPartials,
            Kernel::GradientNorm,
            Kernel::Clip,
            Kernel::AdamW,
            Kernel::SumGradient,
            Kernel::PeakMultiplyAdds,
            Kernel::PeakCopy,
        ];
        all.extend(Shape::examples().map(Kernel::Fused));
        for weights in RowWeights::ALL {
            all.extend([
                Kernel::GatherRows(weights),
                Kernel::TriangularBackwardWeights(weights),
                Kernel::SumLogProb(weights),
            ]);
            all.extend(Base::ALL.map(|base| Kernel::BaseBackward(base, weights)));
        }
        let couplings = TransformKind::ALL.iter().map(|&kind| (kind, Heads::One));
        // Networks of their own have the two parameters of the affine transform alone.
        for (map, heads) in couplings.chain([(TransformKind::Affine, Heads::Two)]) {
            all.extend([
                Kernel::CouplingForward(map, heads),
                Kernel::CouplingInverse(map, heads),
            ]);
            all.extend(
                RowWeights::ALL.map(|weights| Kernel::CouplingBackward(map, heads, weights)),
            );
        }
        for form in Form::ALL {
            all.extend(activations().map(|activation| Kernel::LinearForward(activation, form)));
            all.extend(ways().map(|way| Kernel::LinearBackwardInput(way, form)));
        }
        for family in [Family::Hermite, Family::Legendre] {
            all.extend([Kernel::BasisForward(family), Kernel::BasisBackward(family)]);
        }
        for base in Base::ALL {
            all.extend([Kernel::BaseLogProb(base), Kernel::BaseSample(base)]);
        }
        all
    }

    /// The whole WGSL of this kernel.
    pub fn source(self) -> Source {
        let mut prelude = prelude();
        if let Kernel::Fused(shape) = self {
            prelude += &shape.prelude();
        }
        Source::compose(&prelude, self.name(), &self.choices())
    }
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
        ("PEAK_ROUNDS", PEAK_ROUNDS),
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
        ("SPLINE_DERIVATIVE_OFFSET", SPLINE_DERIVATIVE_OFFSET),
    ] {
        let _ = writeln!(text, "const {name} = {value:?};");
    }
    for record in [
        Step::WGSL,
        Concat::WGSL,
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
