fn save(pre: vec4<f32>, index: u32) {}
