fn save(pre: f32, index: u32) {}
