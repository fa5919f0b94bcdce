use std::fmt::Write;

use crate::flow::{Activation, Base, Family};

use super::tables::{FusedLayer, FusedMap};
use crate::gpu::kernels::{self, Elementwise, GROUP, saves_input};
use crate::gpu::shader::{File, file};

/// What the fused kernel is compiled for: the constants of its prelude, and the files that it is composed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub pass: Pass,
    pub lanes: Lanes,
    /// Fours of rows that a tile has.
    pub quads: u32,
    /// Whether the parameters lie in a uniform binding.
    pub uniform: bool,
    /// Columns of a tile.
    pub columns: u32,
    /// Inputs or outputs of a linear map, at most.
    pub most_held: u32,
    pub dims: u32,
    pub layers: u32,
    pub maps: u32,
    pub most_active: u32,
    /// Columns that a group puts aside on the way forward.
    pub aside: u32,
    pub mixed: bool,
    pub activation: Option<Activation>,
    /// Of the polynomials, where they are the conditioners.
    pub family: Option<Family>,
    pub transform: Elementwise,
    pub base: Base,
}

impl Shape {
    /// Where the tile's parts begin: the state, its gradient, the log-determinant of each active column, and, where there is
    /// mixing, what lies between its two triangular maps, and the gradient of that. Without a way back there are no gradients.
    pub fn places(&self) -> Places {
        let [dims, most_active] = [self.dims, self.most_active];
        let gradient = u32::from(self.pass == Pass::Evaluate) * dims;
        let mixed = u32::from(self.mixed);
        let log_det = dims + gradient;
        let other = log_det + most_active;
        let other_gradient = other + mixed * dims;
        Places {
            state: 0,
            gradient: dims,
            log_det,
            other,
            other_gradient,
            conditioner: other_gradient + mixed * gradient,
        }
    }

    /// Invocations of a group.
    pub fn threads(&self) -> u32 {
        match self.lanes {
            Lanes::Few => self.quads,
            Lanes::Many => GROUP,
        }
    }

    pub fn files(&self) -> Vec<File> {
        let mut files = kernels::activation_files(self.activation);
        files.extend([
            match self.uniform {
                true => kernels::PARAMETERS_UNIFORM,
                false => kernels::PARAMETERS,
            },
            kernels::BOUNDED,
            kernels::MOVED,
            self.transform.file(),
            kernels::OUTER,
            file!("shared/tile.wgsl"),
            self.lanes.file(),
        ]);
        match self.family {
            None => files.push(file!("shared/tile_networks.wgsl")),
            Some(family) => files.extend([
                kernels::BASIS,
                kernels::BASIS_SLOPES,
                kernels::basis_file(family),
                file!("shared/tile_polynomials.wgsl"),
            ]),
        }
        match self.pass {
            Pass::Evaluate => {
                if self.activation.is_none() {
                    files.push(file!("shared/slope_none.wgsl"));
                }
                files.extend(kernels::density_files(self.base));
                files.extend([
                    file!("shared/shuffle.wgsl"),
                    file!("shared/layers_forward.wgsl"),
                    file!("fused_evaluate.wgsl"),
                ]);
            }
            Pass::Forward => files.extend([
                file!("shared/tile_rows.wgsl"),
                file!("shared/layers_forward.wgsl"),
                file!("fused_forward.wgsl"),
            ]),
            Pass::Inverse => {
                files.extend([file!("shared/tile_rows.wgsl"), file!("fused_inverse.wgsl")])
            }
        }
        files
    }

    /// The constants that the kernel's files count on.
    pub fn prelude(&self) -> String {
        let places = self.places();
        let mut text = [FusedLayer::WGSL, FusedMap::WGSL].concat();
        for (name, value) in [
            ("THREADS", self.threads()),
            ("MOST_HELD", self.most_held),
            ("QUADS", self.quads),
            ("TILE_COLUMNS", self.columns),
            ("DIMS", self.dims),
            ("LAYERS", self.layers),
            ("MAPS", self.maps),
            ("MOST_ACTIVE", self.most_active),
            ("ASIDE", self.aside),
            ("STATE", places.state),
            ("GRADIENT", places.gradient),
            ("LOG_DET", places.log_det),
            ("OTHER", places.other),
            ("OTHER_GRADIENT", places.other_gradient),
        ] {
            let _ = writeln!(text, "const {name} = {value}u;");
        }
        for (name, value) in [
            (
                "SAVES_PRE",
                self.pass == Pass::Evaluate && saves_input(self.activation),
            ),
            ("BASE_TRAINED", self.base.trained),
        ] {
            let _ = writeln!(text, "const {name} = {value};");
        }
        text
    }

    /// Shapes of every kind, for tests that must see them all.
    pub fn examples() -> impl Iterator<Item = Shape> {
        use Elementwise::{Additive, Affine, Spline};
        let base = Base::ALL[0];
        let example = Shape {
            pass: Pass::Evaluate,
            lanes: Lanes::Few,
            quads: 4,
            uniform: base.trained,
            columns: 200,
            most_held: 64,
            dims: 5,
            layers: 3,
            maps: 9,
            most_active: 3,
            aside: 30,
            mixed: true,
            activation: None,
            family: None,
            transform: Affine,
            base,
        };
        let transforms = [Affine, Additive, Spline];
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
            for transform in transforms {
                all.extend(networks.iter().map(|&shape| Shape {
                    pass,
                    transform,
                    ..shape
                }));
            }
            all.extend(polynomials.map(|shape| Shape { pass, ..shape }));
        }
        all.extend(Base::ALL[1..].iter().map(|&base| Shape {
            base,
            uniform: base.trained,
            ..networks[1]
        }));
        all.into_iter()
            .flat_map(|shape| [Lanes::Few, Lanes::Many].map(|lanes| Shape { lanes, ..shape }))
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
pub struct Places {
    pub state: u32,
    pub gradient: u32,
    pub log_det: u32,
    pub other: u32,
    pub other_gradient: u32,
    pub conditioner: u32,
}

/// How many invocations share a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// One for each four rows: a software adapter runs them as one vector, and reads what they all need once.
    Few,
    /// As many as keep a hardware GPU's processor busy.
    Many,
}

impl Lanes {
    /// Tiles to choose from, in fours of rows, the largest first: a software adapter takes eight lanes at once, and small tiles
    /// make work for more of a hardware GPU's processors. Where many lanes take turns, theirs must be the same rows each time.
    pub fn tiles(self) -> &'static [usize] {
        match self {
            Lanes::Few => &[8, 7, 6, 5, 4, 3, 2, 1],
            Lanes::Many => &[4, 2, 1],
        }
    }

    /// The form that fits: where few lanes would go round too often, many share a tile.
    pub fn first_that_fits<T>(
        self,
        form: impl Fn(Lanes) -> Result<T, String>,
    ) -> Result<T, String> {
        match self {
            Lanes::Few => form(Lanes::Few).or_else(|_| form(Lanes::Many)),
            Lanes::Many => form(Lanes::Many),
        }
    }

    /// What products take their inputs from.
    pub fn file(self) -> File {
        match self {
            Lanes::Few => file!("shared/held_own.wgsl"),
            Lanes::Many => file!("shared/held_shared.wgsl"),
        }
    }
}
