use crate::error::{Error, Message, Remedy, Result};
use crate::flow::{Op, Plan};

use super::dispatch::MAX_GROUPS;
use super::kernels::{GROUP, TILE_DEPTH};

/// What activations and gradients may take on the device, in bytes; a batch that needs more goes through in parts.
const ACTIVATION_BUDGET: usize = 1 << 30;

/// llvmpipe ends every loop of an invocation after 65,535 iterations; the weight gradients take about 1.1 a row.
const MAX_ROWS_PER_SPLIT: usize = 32_768;

/// llvmpipe grants an invocation so many loop iterations, over all of its loops together; then it ends every loop.
pub const GRANTED_LOOPS: usize = 65_535;

/// How often a spline's kernels go over all bins of a column, at most.
pub const LOOPS_A_BIN: usize = 11;

/// Multiply-adds that one product may have: some tens of milliseconds on the slowest hardware, so that no submission need be
/// longer; and on two cores.
const MOST_PRODUCTS: usize = match 1_usize.checked_shl(33) {
    Some(products) => products,
    // In 32 bits, as of WebAssembly.
    None => usize::MAX,
};
const MOST_PRODUCTS_SOFTWARE: usize = 1 << 25;

/// What the device binds at once, in bytes.
pub fn binding(limits: &wgpu::Limits) -> usize {
    let most = limits.max_storage_buffer_binding_size;
    most.min(limits.max_buffer_size) as usize
}

/// Sizes that follow from a plan, the device's limits and the rows wanted: worked out here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Rows that the activation buffers hold, a multiple of 4.
    pub rows: usize,
    /// Rows whose gradients one group sums.
    pub rows_per_split: usize,
    pub splits: usize,
}

impl Sizes {
    /// Sizes for runs of up to `wanted` rows, or fewer where limits say so.
    ///
    /// # Errors
    /// [`Error::GpuLimit`] names the limit, what was needed and what to lower.
    pub fn new(
        plan: &Plan,
        limits: &wgpu::Limits,
        is_software: bool,
        requested: usize,
        training: bool,
    ) -> Result<Self> {
        let parameters = plan.layout.len();
        let binding = binding(limits);
        if 4 * parameters > binding {
            return Err(limit(
                format!(
                    "the {parameters} parameters take {} bytes, and this adapter binds at most {binding} at once \
                 (max_storage_buffer_binding_size)",
                    4 * parameters
                ),
                "lower hidden or layers",
            ));
        }
        let outputs = plan.widths.iter().copied().max().unwrap_or(1);
        if outputs > (4 * MAX_GROUPS) as usize {
            return Err(limit(
                format!(
                    "a layer of {outputs} units needs more than {MAX_GROUPS} groups (max_compute_workgroups_per_dimension)"
                ),
                "lower hidden",
            ));
        }
        if plan.width() > MAX_GROUPS as usize {
            return Err(limit(
                format!(
                    "{} columns need more than {MAX_GROUPS} groups (max_compute_workgroups_per_dimension)",
                    plan.width()
                ),
                "take fewer columns",
            ));
        }
        let gradients: usize = if training {
            plan.gradient_widths.iter().sum()
        } else {
            0
        };
        let most_products = most_products(is_software);
        let bytes_per_row = 4 * (plan.widths.iter().sum::<usize>() + gradients + 2);
        let most = (binding / (4 * outputs))
            .min(ACTIVATION_BUDGET / bytes_per_row)
            .min((GROUP * MAX_GROUPS) as usize)
            .min((most_products / largest_product(plan).max(1)).max(GROUP as usize))
            / 4
            * 4;
        if most == 0 {
            return Err(Error::gpu_limit(format!(
                "four rows' activations take {} bytes, more than the {ACTIVATION_BUDGET} set aside; \
                 lower hidden or layers",
                4 * bytes_per_row
            )));
        }
        // Runs of even length, so that the last one is not a small rest.
        let requested = requested.max(1);
        let rows = requested
            .div_ceil(requested.div_ceil(most))
            .next_multiple_of(4);
        // Many splits keep a GPU busy where the weights are few; few keep the partial gradients small where the
        // weights are many (2^20 numbers, or what the binding takes).
        let splits = ((1 << 20) / parameters.max(1))
            .min(rows.div_ceil(16 * GROUP as usize))
            .max(rows.div_ceil(MAX_ROWS_PER_SPLIT))
            .clamp(1, (binding / (4 * parameters.max(1))).max(1));
        let rows_per_split = rows
            .div_ceil(splits)
            .next_multiple_of(TILE_DEPTH as usize)
            .min(MAX_ROWS_PER_SPLIT);
        // Where even that many splits would not bind, fewer rows at a time.
        let rows = rows.min(splits * rows_per_split);
        Ok(Sizes {
            rows,
            rows_per_split,
            splits: rows.div_ceil(rows_per_split),
        })
    }
}

impl Sizes {
    /// Numbers that the staged path's buffers for rows hold, and its partial gradients if it trains.
    pub fn numbers(&self, plan: &Plan, training: bool) -> u64 {
        let a_row = plan.widths.iter().sum::<usize>() + 2;
        let product = |a: usize, b: usize| a as u64 * b as u64;
        let to_train = match training {
            true => {
                product(self.rows, plan.gradient_widths.iter().sum())
                    + product(self.splits, plan.layout.len())
            }
            false => 0,
        };
        product(self.rows, a_row) + to_train
    }
}

fn most_products(is_software: bool) -> usize {
    match is_software {
        true => MOST_PRODUCTS_SOFTWARE,
        false => MOST_PRODUCTS,
    }
}

/// Multiply-adds a row of each product of a plan.
fn products(plan: &Plan) -> impl Iterator<Item = usize> {
    plan.forward.iter().map(|op| match op {
        Op::Linear(linear) => linear.input.count * linear.output.count,
        _ => 0,
    })
}

fn largest_product(plan: &Plan) -> usize {
    products(plan).max().unwrap_or(0)
}

/// Rows, of `wanted`, that one dispatch may take through all of the flow.
pub fn rows_through_all(plan: &Plan, is_software: bool, wanted: usize) -> usize {
    let all = products(plan).sum::<usize>().max(1);
    let most = most_products(is_software) / all / GROUP as usize;
    wanted.min(most.max(1) * GROUP as usize)
}

/// Refuses a plan that takes an invocation through more loop iterations than llvmpipe grants it (65,535, over all of its
/// loops together): it would silently compute wrong numbers.
///
/// # Errors
/// [`Error::GpuLimit`] names the op.
pub fn check_loops(plan: &Plan) -> Result<()> {
    let dims = plan.dims();
    let refuse =
        |what: String| {
            Err(Error::GpuLimit(Message::new(format!(
            "{what} takes more loop iterations than a software adapter grants ({GRANTED_LOOPS})"
        )).remedy(Remedy::on_cpu())))
        };
    for op in &plan.forward {
        match op {
            // A product sums over one side forward and over the other backward, tile by tile.
            Op::Linear(linear) => {
                let widest = linear.input.count.max(linear.output.count);
                let tiles = widest.div_ceil(TILE_DEPTH as usize);
                if tiles * (TILE_DEPTH as usize + 1) >= GRANTED_LOOPS {
                    return refuse(format!("a layer of {widest} units"));
                }
            }
            // All columns, and for each of a spline's its numbers, at most eleven times over.
            Op::Coupling(coupling) => {
                let (_, bins) = coupling.transform.kernel_settings();
                let each = (LOOPS_A_BIN * bins).max(1);
                if dims + coupling.active.len() * each >= GRANTED_LOOPS {
                    return refuse(format!("a coupling of {dims} columns"));
                }
            }
            // The solve.
            Op::Triangular(_) if dims * (dims + 1) / 2 >= GRANTED_LOOPS => {
                return refuse(format!("the mixing of {dims} columns"));
            }
            Op::Concat(_) | Op::Basis(_) | Op::Triangular(_) => {}
        }
    }
    Ok(())
}

/// What does not fit the device, and what to do about it.
fn limit(text: String, action: &str) -> Error {
    let message = Message::new(text).remedy(Remedy::by_hand(action));
    Error::GpuLimit(message.remedy(Remedy::on_cpu()))
}
