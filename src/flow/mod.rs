//! Describes a flow: its spec, the layout of its parameters, and the ops it is lowered to. Nothing here runs anything, and
//! nothing here depends on a device, a file or a screen.

mod density;
mod initial;
mod layout;
mod lowering;
mod plan;
mod polynomial;
mod spec;
mod transform;

pub use initial::{initial_parameters, start_at_identity};
pub use layout::{Initial, Layout, Tensor};
pub use plan::{
    BaseOp, Basis, BufferId, Columns, Concat, Coupling, InputGradient, Layer, Linear, Op, Plan,
    Triangular,
};
pub use polynomial::{Family, Term, count_terms, max_terms, terms};
pub use spec::{Activation, Base, Conditioner, Density, FlowSpec, MAX_PARAMETERS, Mixing};
pub(crate) use transform::with_transform;
pub use transform::{MAX_BINS, SPLINE_DERIVATIVE_OFFSET, SPLINE_MINIMUM, Transform, TransformKind};
