#import shuffle, <gather_weights>
// The rows of this step, from one segment of the data, into the flow's first state. One invocation a row; the last four
// rows are filled up by repeating the last one. CPU version: `Batch::row` in src/executor/batches.rs.

@group(1) @binding(0) var<uniform> op: Segment;
@group(1) @binding(1) var<storage, read> data: array<f32>;
@group(1) @binding(2) var<storage, read_write> x: array<f32>;
@group(1) @binding(3) var<storage, read_write> log_det: array<f32>;

@compute @workgroup_size(GROUP)
fn gather_rows(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.x;
    if index >= (step.rows + 3u) / 4u * 4u {
        return;
    }
    log_det[index] = 0.0;
    var source = step.first + min(index, step.rows - 1u);
    if step.shuffled != 0u {
        source = shuffled_row(source);
    }
    if source < op.first || source >= op.first + op.rows {
        return;
    }
    for (var d = 0u; d < op.dims; d++) {
        x[d * step.stride + index] = data[d * op.rows + source - op.first];
    }
    gather_weight(index, source - op.first);
}
