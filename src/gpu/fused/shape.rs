use std::fmt::Write;

use crate::flow::{Activation, Base, Family};

use super::form::{FOUR, Lanes, Networks};
use super::tables::{FusedLayer, FusedMap};
use crate::gpu::kernels::{self, BLOCK, Elementwise, GROUP, VECTOR, saves_input};
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
    pub dims: u32,
    pub layers: u32,
    pub maps: u32,
    /// Linear maps of a network.
    pub depth: u32,
    pub networks: Networks,
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

    /// Invocations that share a tile.
    pub fn threads(&self) -> u32 {
        match self.lanes {
            Lanes::One => 1,
            Lanes::Many => GROUP,
        }
    }

    /// Invocations of a group.
    fn width(&self) -> u32 {
        self.threads() * self.tiles()
    }

    /// Whether each layer has columns of its own, where there is room, so that the way back finds what the way forward left.
    pub fn keeps(&self) -> bool {
        self.pass == Pass::Evaluate && self.lanes == Lanes::One
    }

    pub fn tile_bytes(&self) -> usize {
        16 * (self.quads * self.columns) as usize
    }

    /// Columns that a hidden layer takes: as many as are made at once.
    pub fn hidden_columns(&self, units: usize) -> u32 {
        match (self.lanes, self.networks) {
            (Lanes::One, Networks::Shallow { .. }) => 0,
            (Lanes::One, _) => (units as u32).next_multiple_of(BLOCK),
            (Lanes::Many, _) => (units as u32).next_multiple_of(FOUR),
        }
    }

    /// Columns that a network's outputs take.
    pub fn head_columns(&self, outputs: usize) -> u32 {
        match self.networks {
            Networks::Deep => self.hidden_columns(outputs),
            Networks::Folded | Networks::Shallow { .. } => FOUR,
        }
    }

    /// Tiles that a group has at a time.
    pub fn tiles(&self) -> u32 {
        match self.lanes {
            Lanes::One => VECTOR,
            Lanes::Many => 1,
        }
    }

    pub fn files(&self) -> Vec<File> {
        let mut files = kernels::activation_files(self.activation);
        if self.activation.is_none() {
            files.push(file!("shared/slope_none.wgsl"));
        }
        files.extend([
            match self.uniform {
                true => kernels::PARAMETERS_UNIFORM,
                false => kernels::PARAMETERS,
            },
            kernels::BOUNDED,
            kernels::MOVED,
            self.transform.file(),
            file!("shared/tile.wgsl"),
        ]);
        files.extend(self.tile_files());
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
                files.extend(self.gradient_files());
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

    /// Whose the tile is, and how networks go over it.
    fn tile_files(&self) -> Vec<File> {
        match self.lanes {
            Lanes::One => {
                let (rows, networks) = match self.networks {
                    Networks::Shallow { .. } => (
                        file!("shared/rows_sixteen.wgsl"),
                        file!("shared/networks_shallow.wgsl"),
                    ),
                    Networks::Folded | Networks::Deep => (
                        file!("shared/rows_eight.wgsl"),
                        file!("shared/networks_deep.wgsl"),
                    ),
                };
                vec![
                    file!("shared/tile_own.wgsl"),
                    rows,
                    kernels::SIXTEEN,
                    kernels::COLUMNS,
                    file!("shared/tile_columns.wgsl"),
                    networks,
                ]
            }
            Lanes::Many => vec![
                kernels::OUTER,
                file!("shared/tile_shared.wgsl"),
                file!("shared/networks_shared.wgsl"),
            ],
        }
    }

    /// How networks go back over it.
    fn gradient_files(&self) -> Vec<File> {
        match (self.lanes, self.networks) {
            (Lanes::Many, _) => vec![file!("shared/gradients_shared.wgsl")],
            (Lanes::One, Networks::Shallow { .. }) => vec![
                file!("shared/gradients_own.wgsl"),
                file!("shared/gradients_shallow.wgsl"),
            ],
            (Lanes::One, Networks::Folded | Networks::Deep) => vec![
                file!("shared/gradients_own.wgsl"),
                file!("shared/gradients_deep.wgsl"),
            ],
        }
    }

    /// The constants that the kernel's files count on.
    pub fn prelude(&self) -> String {
        let places = self.places();
        let mut text = [FusedLayer::WGSL, FusedMap::WGSL].concat();
        for (name, value) in [
            ("THREADS", self.threads()),
            ("WIDTH", self.width()),
            ("DEPTH", self.depth),
            ("INPUTS", self.networks.inputs()),
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
            ("FOLDED", self.networks == Networks::Folded),
            ("ADDS", self.adds),
            ("KEEPS", self.keeps()),
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
            lanes: Lanes::One,
            quads: 4,
            uniform: base.trained,
            columns: 200,
            dims: 5,
            layers: 3,
            maps: 9,
            depth: 3,
            networks: Networks::Deep,
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
            uniform: base.trained,
            ..networks[1]
        }));
        all.into_iter().flat_map(|shape| {
            let few = [Networks::Folded, Networks::Shallow { inputs: 3 }];
            let few = few.into_iter().filter(move |_| shape.activation.is_some());
            let own = few.chain([Networks::Deep]).map(move |networks| Shape {
                lanes: Lanes::One,
                networks,
                quads: networks.quads() as u32,
                ..shape
            });
            own.chain([Shape {
                lanes: Lanes::Many,
                ..shape
            }])
        })
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
