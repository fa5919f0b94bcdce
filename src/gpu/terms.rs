use crate::flow::Basis;

use super::kernels;

/// Adds a basis to a table of terms, as `shaders/shared/basis.wgsl` reads it, and returns its record.
pub fn add(table: &mut Vec<u32>, op: &Basis) -> kernels::Basis {
    let first = table.len();
    let pitch = 1 + op.terms.iter().map(Vec::len).max().unwrap_or(0);
    for term in &op.terms {
        let mut row = vec![0; pitch];
        row[0] = term.len() as u32;
        for (entry, &(d, n)) in row[1..].iter_mut().zip(term) {
            *entry = (d << 16 | n) as u32;
        }
        table.extend(row);
    }
    let dimensions = table.len();
    let lists = dimensions + op.input.count + 1;
    let mut listed: Vec<u32> = Vec::new();
    for d in 0..=op.input.count {
        table.push((lists + listed.len()) as u32);
        let with_d = op.terms.iter().enumerate();
        let with_d = with_d.filter(|(_, term)| term.iter().any(|&(e, _)| e == d));
        listed.extend(with_d.map(|(m, _)| m as u32));
    }
    table.extend(listed);
    kernels::Basis {
        input_first: op.input.first as u32,
        gradient_first: op.gradient_target.first as u32,
        first: first as u32,
        pitch: pitch as u32,
        dimensions: dimensions as u32,
        input_bound: op.input_bound as f32,
    }
}
