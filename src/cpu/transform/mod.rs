//! The transforms on the CPU, one file each. Kernels: `shaders/shared/transform_*.wgsl`.

use pulp::Simd;

use super::real::Real;
use super::vector::Vector;

/// The file of each transform, and its type.
macro_rules! files {
    ($($file:ident: $name:ident,)+) => {
        $(mod $file; pub use $file::$name;)+
    };
}

files! {
    additive: Additive,
    affine: Affine,
    spline: Spline,
}

/// An increasing map of one number, with parameters that a conditioner gives: `parameter(i)` is parameter `i` of
/// [`Transform::parameters`](crate::flow::Transform::parameters).
pub trait Elementwise<S: Simd, T: Real> {
    /// z, and the logarithm of dz/dx.
    fn forward(
        &self,
        simd: S,
        x: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> (Vector<S, T>, Vector<S, T>);

    /// The x that gives z.
    fn inverse(
        &self,
        simd: S,
        z: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> Vector<S, T>;

    /// From the gradients of z and of the log-derivative, that of x, which is returned, and that of each parameter, which goes to
    /// `put`.
    fn backward(
        &self,
        simd: S,
        x: Vector<S, T>,
        gradients: (Vector<S, T>, Vector<S, T>),
        parameter: impl Fn(usize) -> Vector<S, T>,
        put: impl FnMut(usize, Vector<S, T>),
    ) -> Vector<S, T>;
}
