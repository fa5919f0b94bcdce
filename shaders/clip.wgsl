#import squares, sum
// What the gradient is multiplied by so that its norm is at most clip_norm, and whether the step may be taken at all. One
// group. CPU version: `clip` in src/cpu/adamw.rs.

@group(1) @binding(1) var<storage, read> partials: array<Squares>;
@group(1) @binding(2) var<storage, read> losses: array<u32>;
@group(1) @binding(3) var<storage, read_write> gate: Gate;

/// The largest number whose square is finite.
const LONGEST = 1.8446743e19;

@compute @workgroup_size(GROUP)
fn clip(@builtin(local_invocation_index) lane: u32) {
    let groups = arrayLength(&partials);
    var largest = LEAST_SCALE;
    var bad = 0.0;
    for (var group = lane; group < groups; group += GROUP) {
        if partials[group].sum < 0.0 {
            bad = 1.0;
        }
        largest = max(largest, partials[group].scale);
    }
    let any_bad = group_max(lane, bad) > 0.0;
    let scale = group_max(lane, largest);
    var sum = 0.0;
    for (var group = lane; group < groups; group += GROUP) {
        let ratio = partials[group].scale / scale;
        sum += ratio * ratio * partials[group].sum;
    }
    let total = group_sum(lane, sum);
    // A gate that is shut stays shut until the host opens it.
    if lane != 0u || gate.fault != FAULT_NONE {
        return;
    }
    if gate.overflow != 0u {
        gate.fault = FAULT_PARAMETERS;
        gate.slot = gate.overflow - 1u;
        return;
    }
    let norm = scale * sqrt(total);
    var factor = 1.0;
    if step.clip_norm > 0.0 && norm > step.clip_norm {
        factor = step.clip_norm / norm;
    }
    gate.factor = factor;
    gate.slot = step.slot;
    if not_finite(losses[step.slot]) {
        gate.fault = FAULT_LOSS;
    } else if any_bad || not_finite(bitcast<u32>(norm)) || norm * factor > LONGEST {
        gate.fault = FAULT_GRADIENT;
    }
}
