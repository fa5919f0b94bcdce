#import split_gradients
// gradient[p] (+)= the sum over the splits of partials[split][p], in their order. One invocation a parameter.

@group(1) @binding(2) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(GROUP)
fn sum_partials(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = id.y * groups.x * GROUP + id.x;
    if p >= step.parameters {
        return;
    }
    var start = 0.0;
    if step.add != 0u {
        start = gradient[p];
    }
    gradient[p] = add_splits(start, p);
}
