// Conditioners that are networks take the state itself.

fn expand(back: bool, lane: u32) {}

fn expand_backward(lane: u32) {}
