/// The k-th of the dimensions that are left as they are: those before and behind the active ones.
fn frozen(k: u32) -> u32 {
    return select(k + op.active_count, k, k < op.active_first);
}
