// The order of the rows in an epoch. CPU version: `Shuffle` in src/random/shuffle.rs; the integers are the same.

fn hash(value: u32) -> u32 {
    var h = value;
    h ^= h >> 16u;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13u;
    h *= 0xC2B2AE35u;
    return h ^ (h >> 16u);
}

/// (left, right) after one Feistel round.
fn feistel(halves: vec2<u32>, key: u32, mask: u32) -> vec2<u32> {
    return vec2(halves.y, halves.x ^ (hash(halves.y ^ key) & mask));
}

/// The row visited at a index of the epoch.
fn shuffled_row(index: u32) -> u32 {
    let mask = (1u << step.half_bits) - 1u;
    var value = index;
    loop {
        var halves = vec2(value >> step.half_bits, value & mask);
        halves = feistel(halves, step.key0, mask);
        halves = feistel(halves, step.key1, mask);
        halves = feistel(halves, step.key2, mask);
        halves = feistel(halves, step.key3, mask);
        halves = feistel(halves, step.key4, mask);
        halves = feistel(halves, step.key5, mask);
        halves = feistel(halves, step.key6, mask);
        halves = feistel(halves, step.key7, mask);
        value = (halves.x << step.half_bits) | halves.y;
        if value < step.data_rows {
            break;
        }
    }
    return value;
}
