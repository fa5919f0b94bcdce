// As many bytes as a GPU can move: a copy, four numbers an invocation. `src/gpu/peak.rs` times it. CPU version: `copy` in
// src/cpu/peak.rs.

@group(1) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(1) @binding(1) var<storage, read_write> copied: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn peak_copy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.y * groups.x + group.x) * GROUP + lane;
    if index < arrayLength(&source) {
        copied[index] = source[index];
    }
}
