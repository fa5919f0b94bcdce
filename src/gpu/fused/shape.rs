use std::fmt::Write;

use crate::flow::{Activation, Base, Family};

use super::tables::{FusedLayer, FusedMap};
use crate::gpu::kernels::{self, Elementwise, GROUP, saves_input};
use crate::gpu::shader::{File, file};

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
    pub layers: u32,
    pub maps: u32,
    /// Linear maps of a network.
    pub depth: u32,
    pub most_active: u32,
    /// Columns that a group puts aside on the way forward.
    pub aside: u32,
    /// Whether a share may have more tiles than one.
    pub adds: bool,
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

    pub fn tile_bytes(&self) -> usize {
        16 * (self.quads * self.columns) as usize
    }

    pub fn files(&self) -> Vec<File> {
        let mut files = kernels::activation_files(self.activation);
        if self.activation.is_none() {
            files.push(file!("shared/slope_none.wgsl"));
        }
        files.extend([
            kernels::PARAMETERS,
            kernels::BOUNDED,
            kernels::MOVED,
            self.transform.file(),
            file!("shared/tile.wgsl"),
        ]);
        files.extend([
            kernels::OUTER,
            file!("shared/tile_shared.wgsl"),
            file!("shared/networks_shared.wgsl"),
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
                files.extend(kernels::density_files(self.base));
                files.push(file!("shared/gradients_shared.wgsl"));
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
            ("THREADS", GROUP),
            ("DEPTH", self.depth),
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
            ("ADDS", self.adds),
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
            quads: 4,
            columns: 200,
            dims: 5,
            layers: 3,
            maps: 9,
            depth: 3,
            most_active: 3,
            aside: 30,
            adds: true,
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
pub struct Places {
    pub state: u32,
    pub gradient: u32,
    pub log_det: u32,
    pub other: u32,
    pub other_gradient: u32,
    pub conditioner: u32,
}
