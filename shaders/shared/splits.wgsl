/// How many splits of the rows have each summed a part.
fn split_count() -> u32 {
    return (step.rows + step.rows_per_split - 1u) / step.rows_per_split;
}
