//! Estimates a density on a grid from points: counts them, then smooths.

use super::axes::Interval;

/// Smooths counts with a normal kernel of this deviation, in cells, along `count` cells that lie `stride` apart. What would
/// leave the grid is reflected, or enters at the other end where that is its neighbor.
fn along(cells: &mut [f64], count: usize, stride: usize, deviation: f64, is_circular: bool) {
    let reach = (3.0 * deviation).ceil() as isize;
    let kernel: Vec<f64> = (-reach..=reach)
        .map(|k| (-0.5 * (k as f64 / deviation).powi(2)).exp())
        .collect();
    let sum: f64 = kernel.iter().sum();
    let line: Vec<f64> = (0..count).map(|k| cells[k * stride]).collect();
    let last = count as isize - 1;
    for k in 0..count {
        let near = (-reach..=reach).zip(&kernel).map(|(offset, weight)| {
            let index = match k as isize + offset {
                around if is_circular => around.rem_euclid(last + 1),
                before if before < 0 => -1 - before,
                beyond if beyond > last => 2 * last + 1 - beyond,
                inside => inside,
            };
            weight * line[index.clamp(0, last) as usize]
        });
        cells[k * stride] = near.sum::<f64>() / sum;
    }
}

/// Smoothed counts of numbers in equal parts of a span, whose ends may be neighbors.
pub fn line(
    numbers: &[f64],
    span: Interval,
    is_circular: bool,
    parts: usize,
    deviation: f64,
) -> Vec<f64> {
    let mut counts = span.counts(numbers, parts);
    along(&mut counts, parts, 1, deviation, is_circular);
    counts
}

/// Smoothed counts of points in the cells of a grid: a row of cells for each part of `y`.
pub fn plane(
    points: impl Iterator<Item = (f64, f64)>,
    [x, y]: [Interval; 2],
    is_circular: [bool; 2],
    parts: usize,
    deviation: f64,
) -> Vec<Vec<f64>> {
    let mut cells = vec![0.0; parts * parts];
    for (a, b) in points {
        if let (Some(column), Some(row)) = (x.part(a, parts), y.part(b, parts)) {
            cells[row * parts + column] += 1.0;
        }
    }
    for k in 0..parts {
        along(&mut cells[k * parts..], parts, 1, deviation, is_circular[0]);
    }
    for k in 0..parts {
        along(&mut cells[k..], parts, parts, deviation, is_circular[1]);
    }
    cells.chunks(parts).map(<[f64]>::to_vec).collect()
}

/// The level above which a fraction of the mass lies: the edge of the region of highest density.
pub fn level(cells: &[Vec<f64>], fraction: f64) -> f64 {
    let mut sorted: Vec<f64> = cells.iter().flatten().copied().collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let whole: f64 = sorted.iter().sum();
    let mut sum = 0.0;
    for cell in sorted {
        sum += cell;
        if sum >= fraction * whole {
            return cell;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Interval = Interval {
        low: 0.0,
        high: 10.0,
    };

    #[test]
    fn smoothing_keeps_the_mass() {
        for middle in [0.25, 5.25, 9.75] {
            let smooth = line(&[middle; 3], SPAN, false, 20, 1.5);
            assert!((smooth.iter().sum::<f64>() - 3.0).abs() < 1e-9);
            let highest = smooth.iter().copied().fold(0.0, f64::max);
            assert_eq!(smooth[SPAN.part(middle, 20).unwrap()], highest);
        }
        let points = [(5.0, 5.0), (5.0, 5.0)].into_iter();
        let cells = plane(points, [SPAN; 2], [false; 2], 20, 1.5);
        let sum: f64 = cells.iter().flatten().sum();
        assert!((sum - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_leaves_a_circle_enters_at_its_other_end() {
        let smooth = line(&[0.1], SPAN, true, 20, 1.5);
        assert!((smooth[1] - smooth[19]).abs() < 1e-12 && smooth[19] > 0.1);
        assert!((smooth.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let cells = plane([(5.0, 9.9)].into_iter(), [SPAN; 2], [false, true], 20, 1.5);
        assert!((cells[0][10] - cells[18][10]).abs() < 1e-12 && cells[0][10] > 0.01);
    }

    #[test]
    fn a_level_encloses_its_share() {
        let cells = vec![vec![4.0, 3.0], vec![2.0, 1.0]];
        assert_eq!(level(&cells, 0.4), 4.0);
        assert_eq!(level(&cells, 0.7), 3.0);
        assert_eq!(level(&cells, 1.0), 1.0);
    }
}
