#import split_gradients, split_losses, squares, sum
// gradient[p] = the sum over the splits of their parts of it, in their order; norms[group] = the sum of the squares of GROUP
// of them; and, by the first group, losses[slot] = -(sum of the splits' log_prob) / N. One invocation a parameter. CPU version:
// `gradient_norm` in src/cpu/adamw.rs.

@group(1) @binding(2) var<storage, read> loss_partials: array<f32>;
@group(1) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(1) @binding(4) var<storage, read_write> norms: array<Squares>;
@group(1) @binding(5) var<storage, read_write> losses: array<f32>;

@compute @workgroup_size(GROUP)
fn sum_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    if number == 0u {
        let loss = loss_of_splits(lane);
        if lane == 0u {
            losses[step.slot] = loss;
        }
    }
    let p = number * GROUP + lane;
    var sum = 0.0;
    if p < step.parameters {
        sum = add_splits(0.0, p);
        gradient[p] = sum;
    }
    var bad = 0.0;
    var size = LEAST_SCALE;
    if not_finite(bitcast<u32>(sum)) {
        bad = 1.0;
    } else {
        size = max(size, abs(sum));
    }
    let any_bad = group_max(lane, bad) > 0.0;
    let scale = group_max(lane, size);
    let ratio = sum / scale;
    let total = group_sum(lane, ratio * ratio);
    if lane == 0u && number * GROUP < step.parameters {
        norms[number] = Squares(scale, select(total, -1.0, any_bad));
    }
}
