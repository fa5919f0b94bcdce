fn save_preactivation(pre: vec4<f32>, index: u32) {}
