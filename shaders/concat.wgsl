#import quad_index
// The frozen columns of a layer, then the context: the input of its conditioner. One invocation copies one column of four rows.
// CPU version: `concat` in src/cpu/block.rs.

@group(1) @binding(0) var<uniform> op: Concat;
@group(1) @binding(1) var<storage, read> state: array<vec4<f32>>;
@group(1) @binding(2) var<storage, read> data: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn concat(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * GROUP + lane;
    if 4u * quad >= step.rows {
        return;
    }
    let column = group.y;
    if column < op.frozen_count {
        output[quad_index(column, quad)] = state[quad_index(op.frozen_first + column, quad)];
    } else {
        output[quad_index(column, quad)] = data[quad_index(op.context_first + column - op.frozen_count, quad)];
    }
}
