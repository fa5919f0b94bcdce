// Conditioners that are networks take the state itself.

fn expand_basis(back: bool, lane: u32) {}

fn expand_basis_backward(lane: u32) {}
