/// Numbers seen as a matrix: element (i, j) lies at `i * strides.0 + j * strides.1`.
#[derive(Clone, Copy)]
pub struct Strided<'a, T> {
    pub values: &'a [T],
    pub strides: (usize, usize),
}

impl<T: Copy> Strided<'_, T> {
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        self.values[i * self.strides.0 + j * self.strides.1]
    }
}
