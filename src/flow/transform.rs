//! The transforms: increasing maps of one number, which coupling layers apply to their active columns. A new one is an entry of
//! `transforms!`; its maths is in `src/cpu/transform` and `shaders/shared`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most bins of a spline.
pub const MAX_BINS: usize = 32;

/// The least fraction of its side that a spline's bin has, and the least derivative at a knot (Durkan et al. 2019, appendix B).
pub const SPLINE_MINIMUM: f64 = 1e-3;

/// What is added to the number that a spline's derivative is made of, so that 0 makes it 1: log(exp(1 - [`SPLINE_MINIMUM`]) - 1).
pub const SPLINE_DERIVATIVE_OFFSET: f64 = 0.539_742_417_236_952;

/// An entry is the name of a transform, its settings if it has any, and the number of parameters that it takes for each active
/// column. All parameters zero make it the identity. The first argument is `$`, for the macro that this one defines.
macro_rules! transforms {
    ($dollar:tt $(
        $(#[$doc:meta])*
        $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })? takes $parameters:expr;
    )+) => {
        /// The elementwise map that a coupling layer applies to its active dimensions.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Transform {
            $($(#[$doc])* $name $({ $($(#[$field_doc])* $field: $type,)+ })?,)+
        }

        /// A transform by name, without its settings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum TransformKind {
            $($(#[$doc])* $name,)+
        }

        impl TransformKind {
            /// Every transform.
            pub const ALL: &[TransformKind] = &[$(TransformKind::$name,)+];

            /// The transform, with all of its settings zero.
            pub fn without_settings(self) -> Transform {
                match self {
                    $(TransformKind::$name => Transform::$name $({ $($field: Default::default(),)+ })?,)+
                }
            }

            /// Its name in a configuration: that of its variant, in lower case and with dashes.
            pub fn name(self) -> String {
                serde_json::to_value(self).map_or_else(
                    |_| format!("{self:?}"),
                    |name| name.as_str().unwrap_or_default().to_owned(),
                )
            }
        }

        impl Transform {
            /// Which transform it is.
            pub fn kind(self) -> TransformKind {
                match self {
                    $(Transform::$name { .. } => TransformKind::$name,)+
                }
            }

            /// How many numbers it takes for each active column.
            #[allow(unused_variables, reason = "most take as many whatever their settings")]
            pub fn parameters(self) -> usize {
                match self {
                    $(Transform::$name $({ $($field,)+ })? => $parameters,)+
                }
            }
        }

        /// `$body` with `$map` as the type `transform::NAME` of the caller's, with the same name and settings.
        macro_rules! with_transform {
            ($dollar transform:expr, $dollar map:ident => $dollar body:expr) => {
                match $dollar transform {
                    $($crate::flow::Transform::$name $({ $($field,)+ })? => {
                        let $dollar map = transform::$name $({ $($field,)+ })?;
                        $dollar body
                    })+
                }
            };
        }
        pub(crate) use with_transform;
    };
}

transforms! { $
    /// `z = x * exp(s) + t`, with the parameters s and t. With `scale_bound` c > 0 the log-scale is `c * tanh(s / c)`; 0 leaves
    /// it as it comes.
    Affine {
        /// c, at least 0.
        scale_bound: f64,
    } takes 2;

    /// `z = x + t`, volume preserving (Dinh et al. 2015, "NICE", eq. 8).
    Additive takes 1;

    /// A monotonic rational-quadratic spline with `bins` bins (2 to [`MAX_BINS`]) on [-bound, bound], the identity beyond
    /// (Durkan et al. 2019, "Neural spline flows", section 3.1). Its parameters are numbers for the widths, the heights, and
    /// the derivatives at the inner knots.
    Spline {
        /// 2 to [`MAX_BINS`].
        bins: usize,
        /// Above 0.
        bound: f64,
    } takes 3 * bins - 1;
}

impl Transform {
    /// Checks its settings.
    ///
    /// # Errors
    /// [`Error::Spec`] names the setting, its value and what is allowed.
    pub fn validate(self) -> Result<()> {
        let fail = |message: String| Err(Error::Spec(message.into()));
        match self {
            Transform::Affine { scale_bound }
                if !(scale_bound >= 0.0 && scale_bound.is_finite()) =>
            {
                fail(format!(
                    "scale_bound = {scale_bound}: must be 0 (unbounded) or a positive number"
                ))
            }
            Transform::Spline { bins, .. } if !(2..=MAX_BINS).contains(&bins) => {
                fail(format!("bins = {bins}: a spline has 2 to {MAX_BINS} bins"))
            }
            // Of an input so far out nothing would be left in the spline, or nothing of f32's digits in a bin.
            Transform::Spline { bound, .. } if !(0.1..=1000.0).contains(&bound) => {
                fail(format!("spline_bound = {bound}: must be from 0.1 to 1000"))
            }
            _ => Ok(()),
        }
    }

    /// Where the conditioner's output has its parameters: the distance between two parameters of a column, and between the
    /// same parameter of two columns.
    pub fn strides(self, active: usize) -> (usize, usize) {
        match self {
            // All of s, then all of t.
            Transform::Affine { .. } | Transform::Additive => (active, 1),
            // Column after column.
            _ => (1, self.parameters()),
        }
    }

    /// Its settings as kernels know them: a bound, and a number of bins.
    pub fn kernel_settings(self) -> (f64, usize) {
        match self {
            Transform::Affine { scale_bound } => (scale_bound, 0),
            Transform::Spline { bins, bound } => (bound, bins),
            _ => (0.0, 0),
        }
    }

    /// Whether its second derivative has jumps, at which gradients in f32 and f64 part.
    pub fn is_piecewise(self) -> bool {
        matches!(self, Transform::Spline { .. })
    }
}
