use std::fmt::Write;

use crate::flow::{Activation, Base, Family, TransformKind};

use super::choices::{Choices, activation_choice, base_choices, named, saves_input};
use super::constants::GROUP;
use super::records::{FusedLayer, FusedMap};

/// Columns that an invocation makes at once.
pub const FOUR: u32 = 4;

/// What the fused kernel is compiled for: the constants of its prelude, and the files that it is composed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub pass: Pass,
    /// Fours of rows that a tile has.
    pub quads: u32,
    /// Columns of a tile.
    pub columns: u32,
    pub dims: u32,
    /// Columns of context, and room in front of them for the frozen columns of a layer.
    pub context: u32,
    pub most_frozen: u32,
    pub layers: u32,
    pub maps: u32,
    /// Linear maps of a network.
    pub depth: u32,
    pub most_active: u32,
    /// Columns that a group saves on the way forward.
    pub saved_columns: u32,
    /// Whether each row has a weight in the loss.
    pub weighted: bool,
    /// Whether a part of the batch may have more tiles than one.
    pub adds: bool,
    pub mixed: bool,
    pub activation: Option<Activation>,
    /// Of the polynomials, where they are the conditioners.
    pub family: Option<Family>,
    pub transform: TransformKind,
    pub base: Base,
}

impl Shape {
    /// Where the tile's parts begin: the state, its gradient, the log-determinant of each active column, and, where there is
    /// mixing, what lies between its two triangular maps, and the gradient of that; where there is context, a conditioner's inputs; and
    /// the weights of the rows, if they have any.
    /// Without a way back there are no gradients.
    pub fn offsets(&self) -> Offsets {
        let [dims, most_active] = [self.dims, self.most_active];
        let gradient = u32::from(self.pass == Pass::Evaluate) * dims;
        let mixed = u32::from(self.mixed);
        let log_det = dims + gradient;
        let other = log_det + most_active;
        let other_gradient = other + mixed * dims;
        let inputs = other_gradient + mixed * gradient;
        let with_context = u32::from(self.context > 0) * (self.most_frozen + self.context);
        let weight = inputs + with_context;
        Offsets {
            state: 0,
            gradient: dims,
            log_det,
            other,
            other_gradient,
            inputs,
            weight,
            conditioner: weight + u32::from(self.weighted),
        }
    }

    pub fn tile_bytes(&self) -> usize {
        16 * (self.quads * self.columns) as usize
    }

    /// The name of the kernel's own file.
    pub fn kernel_name(&self) -> &'static str {
        match self.pass {
            Pass::Evaluate => "fused_evaluate",
            Pass::Forward => "fused_forward",
            Pass::Inverse => "fused_inverse",
        }
    }

    /// What stands for the parts that the kernel imports.
    pub fn choices(&self) -> Choices {
        let mut choices = base_choices(self.base);
        choices.extend([
            activation_choice(self.activation),
            ("transform", named("transform", self.transform)),
            // A transform's parameters, and their gradients, lie in the tile.
            ("heads", "tile".into()),
            ("head_gradients", "tile".into()),
        ]);
        match self.family {
            None => choices.push(("conditioner", "tile_networks".into())),
            Some(family) => choices.extend([
                ("conditioner", "tile_polynomials".into()),
                ("basis_family", named("basis", family)),
                ("basis_input", "tile_polynomials".into()),
            ]),
        }
        choices
    }

    /// The constants that the kernel's files use.
    pub fn prelude(&self) -> String {
        let offsets = self.offsets();
        let mut text = [FusedLayer::WGSL, FusedMap::WGSL].concat();
        for (name, value) in [
            ("THREADS", GROUP),
            ("DEPTH", self.depth),
            ("QUADS", self.quads),
            ("TILE_COLUMNS", self.columns),
            ("DIMS", self.dims),
            ("CONTEXT", self.context),
            ("LAYERS", self.layers),
            ("MAPS", self.maps),
            ("MOST_ACTIVE", self.most_active),
            ("SAVED_COLUMNS", self.saved_columns),
            ("STATE", offsets.state),
            ("GRADIENT", offsets.gradient),
            ("LOG_DET", offsets.log_det),
            ("OTHER", offsets.other),
            ("OTHER_GRADIENT", offsets.other_gradient),
            ("CONTEXT_FIRST", offsets.inputs + self.most_frozen),
            ("WEIGHT", offsets.weight),
        ] {
            let _ = writeln!(text, "const {name} = {value}u;");
        }
        for (name, value) in [
            (
                "SAVES_PRE",
                self.pass == Pass::Evaluate && saves_input(self.activation),
            ),
            ("BASE_TRAINED", self.base.trained),
            ("WEIGHTED", self.weighted),
            ("ADDS", self.adds),
        ] {
            let _ = writeln!(text, "const {name} = {value};");
        }
        text
    }

    /// Shapes of every kind, for tests that must see them all.
    #[cfg(feature = "testing")]
    pub fn examples() -> impl Iterator<Item = Shape> {
        let base = Base::ALL[0];
        let example = Shape {
            pass: Pass::Evaluate,
            quads: 4,
            columns: 200,
            dims: 5,
            context: 0,
            most_frozen: 3,
            layers: 3,
            maps: 9,
            depth: 3,
            most_active: 3,
            saved_columns: 30,
            weighted: false,
            adds: true,
            mixed: true,
            activation: None,
            family: None,
            transform: TransformKind::Affine,
            base,
        };
        let activations = Activation::ALL.map(Some).into_iter().chain([None]);
        let networks: Vec<Shape> = activations
            .map(|activation| Shape {
                activation,
                ..example
            })
            .collect();
        let polynomials = [Family::Hermite, Family::Legendre].map(|family| Shape {
            family: Some(family),
            ..example
        });
        let mut all = Vec::new();
        for pass in [Pass::Evaluate, Pass::Forward, Pass::Inverse] {
            for &transform in TransformKind::ALL {
                all.extend(networks.iter().map(|&shape| Shape {
                    pass,
                    transform,
                    ..shape
                }));
            }
            all.extend(polynomials.map(|shape| Shape { pass, ..shape }));
        }
        for pass in [Pass::Evaluate, Pass::Forward, Pass::Inverse] {
            all.extend([networks[1], polynomials[0]].map(|shape| Shape {
                pass,
                context: 2,
                ..shape
            }));
        }
        all.extend([networks[1], polynomials[0]].map(|shape| Shape {
            weighted: true,
            context: 2,
            ..shape
        }));
        all.extend(Base::ALL[1..].iter().map(|&base| Shape {
            base,
            ..networks[1]
        }));
        all.into_iter()
    }
}

/// What a fused kernel does with its tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// To the latent and back: loss and gradient.
    Evaluate,
    /// Data to latent.
    Forward,
    /// Latent to data.
    Inverse,
}

/// Columns at which a tile's parts begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    pub state: u32,
    pub gradient: u32,
    pub log_det: u32,
    pub other: u32,
    pub other_gradient: u32,
    pub inputs: u32,
    pub weight: u32,
    pub conditioner: u32,
}
