// An activation that its output does not determine keeps what went into it.
@group(1) @binding(5) var<storage, read_write> saved: array<vec4<f32>>;

fn save_preactivation(pre: vec4<f32>, index: u32) {
    saved[index] = pre;
}
