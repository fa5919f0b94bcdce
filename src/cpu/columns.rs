use bytemuck::Pod;

/// Rows that go through the flow together: long enough that a wide map's weights are not fetched again too often, short
/// enough that a small flow's activations stay in the first caches.
pub const BLOCK_ROWS: usize = 128;

/// One number for each row of a block.
pub type Column<T> = [T; BLOCK_ROWS];

/// A cache line.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Columns in memory that begins with a cache line, so that no vector lies across two.
#[derive(Clone, Default)]
pub struct Columns<T> {
    lines: Vec<Line>,
    number: std::marker::PhantomData<T>,
}

impl<T: Pod> Columns<T> {
    /// So many columns of zeros.
    pub fn zeros(count: usize) -> Self {
        let bytes = count * size_of::<Column<T>>();
        Columns {
            lines: vec![Line([0; 64]); bytes.div_ceil(64)],
            number: std::marker::PhantomData,
        }
    }
}

impl<T: Pod> std::ops::Deref for Columns<T> {
    type Target = [Column<T>];

    #[inline(always)]
    fn deref(&self) -> &[Column<T>] {
        bytemuck::cast_slice(&self.lines)
    }
}

impl<T: Pod> std::ops::DerefMut for Columns<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [Column<T>] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}
