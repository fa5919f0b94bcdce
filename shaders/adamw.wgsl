#import squares
// One AdamW step, one invocation a parameter, if the gate is open. CPU version: `update` and `average` in src/cpu/adamw.rs.

@group(1) @binding(1) var<storage, read> gradient: array<f32>;
@group(1) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(1) @binding(3) var<storage, read_write> first_moment: array<f32>;
@group(1) @binding(4) var<storage, read_write> second_moment: array<f32>;
@group(1) @binding(5) var<storage, read_write> average: array<f32>;
@group(1) @binding(6) var<storage, read_write> gate: SharedGate;

/// The gate, where many invocations write to it.
struct SharedGate {
    factor: f32,
    fault: u32,
    slot: u32,
    overflow: atomic<u32>,
}

@compute @workgroup_size(GROUP)
fn adamw(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = id.y * groups.x * GROUP + id.x;
    if p >= step.parameters || gate.fault != FAULT_NONE {
        return;
    }
    let g = gradient[p] * gate.factor;
    let m = BETA1 * first_moment[p] + (1.0 - BETA1) * g;
    let v = BETA2 * second_moment[p] + (1.0 - BETA2) * g * g;
    first_moment[p] = m;
    second_moment[p] = v;
    let direction = m * step.first_correction / (sqrt(v * step.second_correction) + EPSILON);
    let updated = parameters[p] - step.learning_rate * (direction + step.weight_decay * parameters[p]);
    parameters[p] = updated;
    if not_finite(bitcast<u32>(updated)) {
        // The next step's clip shuts the gate; the same number from whoever writes it.
        atomicStore(&gate.overflow, step.slot + 1u);
    }
    if step.average_weight > 0.0 {
        average[p] += step.average_weight * (updated - average[p]);
    }
}
