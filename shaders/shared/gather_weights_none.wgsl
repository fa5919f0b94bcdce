// The data have no column of weights.
fn gather_weight(row: u32, index: u32) {}
