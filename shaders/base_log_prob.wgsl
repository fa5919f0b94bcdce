#import <parameters>, <base>, <density>
// log_prob = log_det + sum_d log p(z_d). One invocation takes four rows.
// CPU version: `log_prob` in src/cpu/base.rs.

@group(1) @binding(0) var<uniform> op: BaseDensity;
@group(1) @binding(2) var<storage, read> z: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read> log_det: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> log_prob: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn base_log_prob(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    if 4u * quad >= step.rows {
        return;
    }
    var sum = log_det[quad];
    for (var d = 0u; d < op.dims; d++) {
        sum += log_density(z[d * (step.stride / 4u) + quad], base_location(d), base_spread(d));
    }
    log_prob[quad] = sum;
}
