/// The place of four rows of a column of a buffer.
fn at(column: u32, quad: u32) -> u32 {
    return column * (step.stride / 4u) + quad;
}
