//! The fused path: one kernel takes tiles of rows through the whole flow and, in training, back. Decides which models it serves,
//! lays out a tile in workgroup memory, and builds the records that the kernels read.

mod tables;

use crate::flow::Plan;

use super::kernels::{FusedLayer, FusedMap, Pass, Shape, UNIFORM_PARAMETERS};
use super::sizes;

use tables::Tables;

/// A plan made ready for a fused kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    pub shape: Shape,
    pub layers: Vec<FusedLayer>,
    pub maps: Vec<FusedMap>,
    /// The table of the polynomials' terms.
    pub terms: Vec<u32>,
    /// Rows that one group takes, tile after tile.
    pub rows_per_group: usize,
}

/// What a uniform binding holds under the WebGPU default limits.
const MAX_UNIFORM_BYTES: usize = 4 * UNIFORM_PARAMETERS as usize;

/// What is left free of the workgroup memory, in bytes.
const RESERVED_BYTES: usize = 256;

/// Tiles to choose from, in fours of rows, the largest first: small ones make work for more of a GPU's processors. Where many
/// invocations take turns, theirs must be the same rows each time.
const QUADS: [usize; 3] = [4, 2, 1];

/// The most numbers in the partial gradients of all groups. With more, writing them costs more than the rows do.
const PARTIALS: usize = 1 << 22;

/// What a way there and back takes, in ways there.
const THERE_AND_BACK: usize = 4;

/// Groups that keep a GPU busy; more only add partial gradients to sum.
const MOST_GROUPS: usize = 512;

impl Fused {
    /// The plan, to be trained with batches of `batch` rows, with weights if they are `weighted`, and the groups of a full one.
    ///
    /// # Errors
    /// Why this model does not fit.
    pub fn to_train(
        plan: &Plan,
        limits: &wgpu::Limits,
        is_software: bool,
        batch: usize,
        weighted: bool,
    ) -> Result<(Self, usize), String> {
        let (mut fused, iterations) =
            Self::tiles(plan, limits, is_software, Pass::Evaluate, weighted)?;
        let binding = sizes::binding(limits);
        let parameters = plan.layout.len();
        let most_groups = MOST_GROUPS
            .min(PARTIALS / parameters)
            .min(binding / (4 * parameters))
            .max(1);
        let count = batch.div_ceil(fused.rows_per_group);
        let mut tiles_per_group = count.div_ceil(most_groups);
        if is_software {
            // A submission cannot be cut further than into groups.
            let rows = sizes::rows_through_all(plan, is_software, usize::MAX) / THERE_AND_BACK;
            let tiles = rows / fused.rows_per_group;
            tiles_per_group = tiles_per_group
                .min(sizes::GRANTED_LOOPS / iterations)
                .min(tiles.max(1));
        }
        let groups = count.div_ceil(tiles_per_group);
        let of_a_group = (4 * parameters).max(fused.shape.tile_bytes());
        if of_a_group * groups > binding
            || groups > limits.max_compute_workgroups_per_dimension as usize
        {
            return Err(format!("{groups} groups of the rows do not fit a binding"));
        }
        fused.rows_per_group *= tiles_per_group;
        fused.shape.adds = tiles_per_group > 1;
        Ok((fused, groups))
    }

    /// The plan, to score or to sample with: one tile a group.
    ///
    /// # Errors
    /// Why this model does not fit.
    pub fn to_infer(
        plan: &Plan,
        limits: &wgpu::Limits,
        is_software: bool,
        pass: Pass,
    ) -> Result<Self, String> {
        Ok(Self::tiles(plan, limits, is_software, pass, false)?.0)
    }

    /// The largest tiles that fit, one a group, and the loop iterations of one.
    fn tiles(
        plan: &Plan,
        limits: &wgpu::Limits,
        is_software: bool,
        pass: Pass,
        weighted: bool,
    ) -> Result<(Self, usize), String> {
        let mut tables = Tables::of(plan, pass, weighted)?;
        for (what, bytes) in [
            ("layers", size_of_val(&tables.layers[..])),
            ("linear maps", size_of_val(&tables.maps[..])),
        ] {
            if bytes > MAX_UNIFORM_BYTES {
                return Err(format!("there are too many {what} for a uniform binding"));
            }
        }
        let memory = limits.max_compute_workgroup_storage_size as usize;
        // Both the columns and the list of rows grow with the tile.
        let bytes =
            |quads: usize| 16 * quads * (tables.shape.columns as usize + 1) + RESERVED_BYTES;
        let Some(quads) = QUADS.into_iter().find(|&quads| bytes(quads) <= memory) else {
            return Err(format!(
                "4 rows of a layer take {} bytes of workgroup memory, and there are {memory}",
                bytes(1)
            ));
        };
        tables.shape.quads = quads as u32;
        let iterations = tables.iterations();
        if is_software && iterations > sizes::GRANTED_LOOPS {
            return Err("a tile takes more loop iterations than a software adapter grants".into());
        }
        let fused = Fused {
            shape: tables.shape,
            layers: tables.layers,
            maps: tables.maps,
            terms: tables.terms,
            rows_per_group: 4 * quads,
        };
        Ok((fused, iterations))
    }

    /// Whether it is the faster path, by what was measured and by what a tile's weights are read for.
    ///
    /// # Errors
    /// Why it is not.
    pub fn suits(&self, is_software: bool) -> Result<(), String> {
        if is_software {
            return Err("as always on a software adapter, which runs kernels to check them".into());
        }
        let trains = self.shape.pass == Pass::Evaluate;
        let (rows, least) = (4 * self.shape.quads, if trains { 8 } else { 16 });
        if rows < least {
            return Err(format!(
                "{rows} rows of a layer fill the workgroup memory, fewer than the {least} that pay"
            ));
        }
        Ok(())
    }

    /// Its tiles, in words.
    pub fn describe(&self) -> String {
        format!("tiles of {} rows", 4 * self.shape.quads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Activation, Base, Conditioner, FlowSpec, Mixing, Transform};

    /// Which flows go which way, by shape alone, on a hardware GPU; on a software adapter none is fused unasked.
    #[test]
    fn the_rule_goes_by_shape() {
        let affine = Transform::Affine { scale_bound: 0.0 };
        let spline = Transform::Spline {
            bins: 8,
            bound: 4.0,
        };
        let limits = wgpu::Limits::default();
        let rule = |dims, transform, width, mixing, batch, is_software| {
            let spec = FlowSpec {
                dims,
                context: 0,
                layers: 10,
                transform,
                conditioner: Conditioner::Mlp {
                    hidden: vec![width; 2],
                    activation: Activation::Silu,
                    separate: false,
                },
                mixing,
                base: Base::ALL[0],
            };
            let plan = Plan::new(&spec).unwrap();
            let train = Fused::to_train(&plan, &limits, is_software, batch, false);
            let infer = Fused::to_infer(&plan, &limits, is_software, Pass::Inverse);
            [train.map(|(fused, _)| fused), infer].map(|fused| {
                let fused = fused.and_then(|fused| fused.suits(is_software).map(|()| fused));
                fused.map_or_else(|why| why, |fused| fused.describe())
            })
        };
        let small = |is_software| rule(4, affine, 32, Mixing::None, 512, is_software);
        let default = |is_software| rule(4, spline, 64, Mixing::Lu, 512, is_software);
        let table = |is_software| rule(8, affine, 128, Mixing::None, 4096, is_software);
        assert_eq!(small(false), ["tiles of 16 rows", "tiles of 16 rows"]);
        assert_eq!(default(false), ["tiles of 8 rows", "tiles of 16 rows"]);
        let [train, infer] = table(false);
        assert!(train.starts_with("4 rows of a layer"), "{train}");
        assert!(infer.starts_with("8 rows of a layer"), "{infer}");
        for why in [small(true), default(true)].concat() {
            assert!(why.contains("software adapter"), "{why}");
        }
    }
}
