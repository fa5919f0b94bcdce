//! The forms that some kernels come in, and which suits what.

use crate::flow::Transform;
use crate::gpu::shader::{File, file};

use super::{BLOCK, TILE, UNIFORM_PARAMETERS};

/// How a matrix product is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Tiles in workgroup memory, for wide maps.
    Tiled,
    /// Straight from the buffers, sixteen by sixteen numbers an invocation, for wide maps on software adapters.
    Blocks,
    /// Straight from the buffers, for maps with few inputs or outputs.
    Narrow,
    /// As `Narrow`, with the parameters in a uniform buffer.
    NarrowUniform,
}

impl Form {
    pub const ALL: [Form; 4] = [Form::Tiled, Form::Blocks, Form::Narrow, Form::NarrowUniform];

    /// The form of a product that makes `made` columns of sums over `summed`, in a model of so many parameters.
    pub fn of(made: usize, summed: usize, parameters: usize, is_software: bool) -> Self {
        let is_uniform = parameters <= UNIFORM_PARAMETERS as usize;
        // A map that leaves more than half of a tile, or of a block, empty is better off without.
        let is_wide = made.min(summed) > TILE as usize / 2;
        if is_software && (is_wide || !is_uniform && made >= BLOCK as usize / 2) {
            Form::Blocks
        } else if is_wide {
            Form::Tiled
        } else if is_uniform {
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
    /// Straight from the buffers, sixteen by sixteen an invocation, for wide maps on software adapters.
    Blocks,
    /// Four by four a group, for maps with few inputs or outputs.
    Narrow,
    /// At most two inputs.
    PairInputs,
    /// At most two outputs.
    PairOutputs,
}

impl WeightForm {
    /// Every form that can make the weight gradients of a map of this shape, the best one first.
    pub fn of(inputs: usize, outputs: usize, is_software: bool) -> Vec<Self> {
        let mut forms = vec![WeightForm::Narrow, WeightForm::Tiled, WeightForm::Blocks];
        if !is_software {
            forms.swap(1, 2);
        }
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
    pub const ALL: [(Elementwise, Heads); 4] = [
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
    pub fn file(self) -> File {
        match self {
            Heads::One => file!("shared/heads_one.wgsl"),
            Heads::Two => file!("shared/heads_two.wgsl"),
        }
    }
}
