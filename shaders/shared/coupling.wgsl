/// The place of four rows of a column of a buffer.
fn at(column: u32, quad: u32) -> u32 {
    return column * (step.stride / 4u) + quad;
}

/// The k-th of the dimensions that are left as they are: those before and behind the active ones.
fn frozen(k: u32) -> u32 {
    return select(k + op.active_count, k, k < op.active_first);
}
