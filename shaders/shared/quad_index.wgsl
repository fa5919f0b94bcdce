/// The index of four rows of a column of a buffer.
fn quad_index(column: u32, quad: u32) -> u32 {
    return column * (step.stride / 4u) + quad;
}
