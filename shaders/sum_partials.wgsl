// gradient[p] (+)= the sum over the splits of partials[split][p], in their order. One invocation a parameter.

@group(1) @binding(1) var<storage, read> partials: array<f32>;
@group(1) @binding(2) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(GROUP)
fn sum_partials(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = id.y * groups.x * GROUP + id.x;
    if p >= step.parameters {
        return;
    }
    let splits = (step.rows + step.rows_per_split - 1u) / step.rows_per_split;
    var sum = 0.0;
    if step.add != 0u {
        sum = gradient[p];
    }
    for (var split = 0u; split < splits; split++) {
        sum += partials[split * step.parameters + p];
    }
    gradient[p] = sum;
}
