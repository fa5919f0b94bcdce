//! Draws a curve in a terminal with Braille characters, which have two dots across and four down.

/// Characters of a line.
pub const WIDTH: usize = 48;
/// Lines of a drawing.
pub const LINES: usize = 3;

const ACROSS: usize = 2 * WIDTH;
const DOWN: usize = 4 * LINES;

/// The fraction of the points, from the first on, that may leave the picture above: where training begins says little.
const BEGINNING: usize = 10;

/// Lines that show numbers one after another, the upper and the lower end of what they show beside them. Nothing is drawn
/// of fewer than two.
pub fn draw(numbers: impl ExactSizeIterator<Item = f64>) -> [String; LINES] {
    let count = numbers.len();
    let columns = count.min(ACROSS);
    if columns < 2 {
        return Default::default();
    }
    // The mean of what falls into each column.
    let mut sums = vec![(0.0, 0u32); columns];
    for (index, number) in numbers.enumerate() {
        if number.is_finite() {
            let (sum, count) = &mut sums[index * columns / count];
            *sum += number;
            *count += 1;
        }
    }
    let means: Vec<f64> = sums
        .into_iter()
        .map(|(sum, count)| sum / f64::from(count))
        .collect();
    let seen = || means[columns / BEGINNING..].iter().copied();
    let low = seen().fold(f64::INFINITY, f64::min);
    let high = seen().fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return Default::default();
    }
    let mut dots = [[0u8; WIDTH]; LINES];
    for (column, &mean) in means.iter().enumerate() {
        if !(low..=high).contains(&mean) {
            continue;
        }
        let fraction = match high > low {
            true => (mean - low) / (high - low),
            false => 0.5,
        };
        let row = ((1.0 - fraction) * (DOWN - 1) as f64).round() as usize;
        // Few points stand apart, over the whole width.
        let x = column * (ACROSS - 1) / (columns - 1);
        dots[row / 4][x / 2] |= dot(x % 2, row % 4);
    }
    let mut line = 0;
    dots.map(|characters| {
        let text: String = characters
            .iter()
            .filter_map(|&dots| char::from_u32(0x2800 + u32::from(dots)))
            .collect();
        line += 1;
        match line {
            1 => format!("{text} {high:.4}"),
            LINES => format!("{text} {low:.4}"),
            _ => text,
        }
    })
}

/// The bit of a dot in a character: Unicode 15, "Braille Patterns".
fn dot(x: usize, y: usize) -> u8 {
    match (x, y) {
        (0, 3) => 1 << 6,
        (_, 3) => 1 << 7,
        (x, y) => 1 << (3 * x + y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dots of a drawing: column by column, the rows that have one.
    fn rows(lines: &[String; LINES]) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); ACROSS];
        for (line, text) in lines.iter().enumerate() {
            for (index, letter) in text.chars().take(WIDTH).enumerate() {
                let bits = letter as u32 - 0x2800;
                for (x, y) in (0..2).flat_map(|x| (0..4).map(move |y| (x, y))) {
                    if bits & u32::from(dot(x, y)) != 0 {
                        rows[2 * index + x].push(4 * line + y);
                    }
                }
            }
        }
        rows
    }

    #[test]
    fn a_falling_curve_falls() {
        let lines = draw((0..960).map(|k| 5.0 - 0.005 * f64::from(k)));
        let rows = rows(&lines);
        // The beginning is left out, so that what comes later has the room.
        assert!(rows[0].is_empty());
        let seen: Vec<usize> = rows[10..].iter().map(|row| row[0]).collect();
        assert!(
            seen.is_sorted() && seen[0] == 0 && seen[85] == DOWN - 1,
            "{seen:?}"
        );
        assert!(lines[LINES - 1].ends_with("0.2275"), "{}", lines[LINES - 1]);
    }

    #[test]
    fn any_numbers_can_be_drawn() {
        let nothing = <[String; LINES]>::default();
        assert_eq!(draw([].into_iter()), nothing);
        assert_eq!(draw([1.0].into_iter()), nothing);
        assert_eq!(draw([f64::NAN; 5].into_iter()), nothing);
        let flat = rows(&draw([2.0; 7].into_iter()));
        assert_eq!(flat.iter().flatten().count(), 7);
        assert_eq!(
            rows(&draw([3.0, f64::INFINITY, 1.0].into_iter()))[95],
            [DOWN - 1]
        );
    }
}
