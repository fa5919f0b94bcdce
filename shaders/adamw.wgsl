// One AdamW step, one invocation a parameter. Twin: `update` in src/cpu/adamw.rs.

@group(1) @binding(1) var<storage, read> gradient: array<f32>;
@group(1) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(1) @binding(3) var<storage, read_write> first_moment: array<f32>;
@group(1) @binding(4) var<storage, read_write> second_moment: array<f32>;

@compute @workgroup_size(GROUP)
fn adamw(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = id.y * groups.x * GROUP + id.x;
    if p >= step.parameters {
        return;
    }
    let g = gradient[p];
    let m = BETA1 * first_moment[p] + (1.0 - BETA1) * g;
    let v = BETA2 * second_moment[p] + (1.0 - BETA2) * g * g;
    first_moment[p] = m;
    second_moment[p] = v;
    let direction = m * step.first_correction / (sqrt(v * step.second_correction) + EPSILON);
    parameters[p] -= step.learning_rate * (direction + step.weight_decay * parameters[p]);
}
