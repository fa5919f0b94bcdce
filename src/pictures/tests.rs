//! Pictures show what they say: of a few rows and of very many, of few columns and of many.

use super::{
    ColumnAxis, Curve, Field, Latent, Picture, Prediction, Scale, calibration, conditional, corner,
    density, latent, loss, prediction, scores, spread, spread_map,
};
use crate::flow::Density;
use crate::matrix::Matrix;
use crate::random::{Purpose, normal_at};
use crate::train::LossCurve;

type Rgb = [u8; 3];
const BLUE: Rgb = [0x00, 0x44, 0x88];
const ORANGE: Rgb = [0xe0, 0x7b, 0x00];

/// A picture's pixels.
struct Pixels {
    width: usize,
    rgb: Vec<Rgb>,
}

impl Pixels {
    fn of(picture: &Picture) -> Self {
        let png = picture.png(2.0).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let samples = info.color_type.samples();
        let rgb = bytes[..info.buffer_size()]
            .chunks(samples)
            .map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect();
        Pixels {
            width: info.width as usize,
            rgb,
        }
    }

    /// How many pixels have nearly this color, and the middle of them, as fractions of the picture's width and height.
    fn middle(&self, of: Rgb) -> (usize, [f64; 2]) {
        let height = self.rgb.len() / self.width;
        let is_like = |pixel: &Rgb| pixel.iter().zip(of).all(|(a, b)| a.abs_diff(b) < 24);
        let (mut count, mut sum) = (0, [0.0; 2]);
        for (index, _) in self.rgb.iter().enumerate().filter(|(_, p)| is_like(p)) {
            count += 1;
            sum[0] += (index % self.width) as f64 / self.width as f64;
            sum[1] += (index / self.width) as f64 / height as f64;
        }
        (count, sum.map(|sum| sum / count.max(1) as f64))
    }
}

fn names(columns: usize) -> Vec<String> {
    (0..columns).map(|j| format!("c{j}")).collect()
}

fn axes(columns: usize) -> Vec<ColumnAxis> {
    let axis = |name| ColumnAxis {
        name,
        scale: Scale::Real,
    };
    names(columns).into_iter().map(axis).collect()
}

fn normal(rows: usize, columns: usize, seed: u64) -> Matrix<f64> {
    Matrix::from_fn(rows, columns, |row, column| {
        f64::from(normal_at(seed, Purpose::TargetRows, row as u64, column))
    })
}

/// The texts of an SVG, which must be well-formed.
fn texts(picture: &Picture) -> Vec<String> {
    let svg = picture.svg();
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|e| panic!("{e}"));
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    texts
        .filter_map(|node| node.text().map(String::from))
        .collect()
}

#[test]
fn a_corner_has_data_and_model_at_any_size() {
    for (rows, columns) in [(10, 2), (10, 7), (1000, 8), (1_000_000, 2)] {
        let (data, sample) = (normal(rows, columns, 1), normal(5000, columns, 2));
        let picture = corner(&axes(columns), Some(&data), &sample);
        let pixels = Pixels::of(&picture);
        for color in [BLUE, ORANGE] {
            let (count, _) = pixels.middle(color);
            assert!(count > 500, "{rows} x {columns}: {count} of {color:?}");
        }
        let texts = texts(&picture);
        for name in names(columns) {
            assert!(texts.contains(&name), "{name} in {texts:?}");
        }
        assert!(picture.caption.contains(&format!("{rows} rows")));
        // Of a million rows as of a thousand.
        assert!(picture.svg().len() < 3_000_000);
    }
}

/// Where the model is to the right of the data, so is its color.
#[test]
fn a_corner_shows_a_model_that_is_off() {
    let data = normal(2000, 2, 1);
    let sample = normal(5000, 2, 2).map(|x| 0.3 * x + 1.5);
    let pixels = Pixels::of(&corner(&axes(2), Some(&data), &sample));
    let (_, data) = pixels.middle(BLUE);
    let (_, model) = pixels.middle(ORANGE);
    assert!(model[0] > data[0] + 0.03, "{model:?} {data:?}");
}

/// The brightest point is where the density is highest: low y is low in the picture.
#[test]
fn a_density_lies_as_its_axes_say() {
    let rows = normal(3000, 2, 1);
    let field = Field::over(&axes(2), &rows);
    let points = field.points();
    // Highest in the lower right.
    let log_prob: Vec<f64> = (0..points.rows())
        .map(|row| -4.0 * ((points.get(row, 0) - 2.0).powi(2) + (points.get(row, 1) + 2.0).powi(2)))
        .collect();
    let picture = density(&names(2), &field, &log_prob, None);
    let (count, [x, y]) = Pixels::of(&picture).middle([0xfd, 0xe7, 0x25]);
    assert!(count > 50 && x > 0.5 && y > 0.5, "{count} at {x}, {y}");
    let all = texts(&density(&names(2), &field, &log_prob, Some(&rows)));
    assert!(all.contains(&"c0".into()) && all.contains(&"c1".into()));
    // A model that overflows everywhere has no density to show, and shows that.
    let nothing = vec![f64::NEG_INFINITY; points.rows()];
    let flat = Pixels::of(&density(&names(2), &field, &nothing, None));
    assert!(flat.middle([0x44, 0x01, 0x54]).0 > 10_000);
}

/// Points of a true latent lie on the diagonal; those of one that is too wide are steeper.
#[test]
fn a_latent_that_is_too_wide_shows() {
    let band = |factor: f64, rows| {
        let picture = latent(&Latent {
            standardized: normal(rows, 3, 1).map(|z| factor * z),
            density: Density::Normal,
            shown: vec![0, 1, 2],
        });
        let texts = texts(&picture);
        assert!(texts.contains(&"z2".into()), "{texts:?}");
        Pixels::of(&picture).middle(ORANGE).0
    };
    // Where points lie on the diagonal, they cover it.
    assert!(band(2.0, 2000) > band(1.0, 2000));
    assert!(band(1.0, 1) > 100 && band(1.0, 300_000) > 100);
}

#[test]
fn scores_have_their_lowest_percent() {
    let log_prob: Vec<f64> = (0..1000).map(|k| f64::from(k) * 0.01).collect();
    let picture = scores(&log_prob);
    let said: String = texts(&picture).join(" ");
    assert!(said.contains("lowest 1%: below 0.10"), "{said}");
    let (count, [x, _]) = Pixels::of(&picture).middle(ORANGE);
    assert!(count > 100 && x < 0.4, "{count} at {x}");
    let mut worse = log_prob;
    worse.push(f64::NEG_INFINITY);
    assert!(scores(&worse).caption.contains("Of 1 more row"));
    for few in [vec![], vec![-1.0], vec![f64::NEG_INFINITY; 3]] {
        assert!(!scores(&few).caption.contains("lowest"));
    }
}

/// Medians on the diagonal, and intervals that hold as many rows as they say.
#[test]
fn predictions_lie_on_the_diagonal_where_they_are_true() {
    let truth = normal(2000, 1, 1);
    let quantiles = |shift: f64| {
        Matrix::from_fn(2000, 3, |row, j| {
            truth.get(row, 0) + shift + (j as f64 - 1.0) * 0.5
        })
    };
    let of = |shift: f64| {
        prediction(&Prediction {
            column: "y",
            truth: truth.column(0),
            quantiles: &quantiles(shift),
        })
    };
    let right = of(0.0);
    assert!(texts(&right).contains(&"predicted y".into()));
    assert!(right.caption.contains("100.0% lie"), "{}", right.caption);
    let high = of(0.7);
    assert!(high.caption.contains("0.0% lie"), "{}", high.caption);
    let [right, high] = [right, high].map(|picture| Pixels::of(&picture).middle(BLUE).1);
    assert!(high[1] < right[1], "{high:?} {right:?}");
}

#[test]
fn a_density_that_is_too_narrow_shows_in_its_calibration() {
    let even: Vec<f64> = (0..2000).map(|k| (f64::from(k) + 0.5) / 2000.0).collect();
    let flat = calibration(&even);
    assert!(flat.caption.contains("0.0003"), "{}", flat.caption);
    let ends: Vec<f64> = even
        .iter()
        .map(|p| 0.5 - 0.5 * (p * std::f64::consts::PI).cos())
        .collect();
    let picture = calibration(&ends);
    let (flat, ends) = (Pixels::of(&flat), Pixels::of(&picture));
    assert!(ends.middle(BLUE).0 < flat.middle(BLUE).0);
}

#[test]
fn conditional_densities_name_their_contexts() {
    let curve = |middle: f64| Curve {
        given: format!("a = {middle}"),
        points: (0..100)
            .map(|k| f64::from(k) * 0.1 - 5.0)
            .map(|x| (x, (-0.5 * (x - middle).powi(2)).exp()))
            .collect(),
    };
    let picture = conditional("y", &[curve(-1.0), curve(2.0)]);
    let all = texts(&picture);
    for text in ["a = -1", "a = 2", "y", "density"] {
        assert!(all.contains(&text.into()), "no {text} in {all:?}");
    }
}

#[test]
fn a_loss_curve_marks_the_best_step() {
    let curve = |low: f64| -> Vec<(f64, f64)> {
        (0..100)
            .map(|k| (10.0 * f64::from(k), low + (-0.1 * f64::from(k)).exp()))
            .collect()
    };
    let picture = loss(&LossCurve {
        losses: curve(1.0),
        validation: curve(1.2),
        best: Some(700.0),
        entropy: Some(0.9),
    });
    let said: String = texts(&picture).join(" ");
    for part in [
        "rows trained on",
        "rows held out",
        "kept: step 700",
        "entropy",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let pixels = Pixels::of(&picture);
    let ((_, [_, trained]), (_, [_, held_out])) = (pixels.middle(BLUE), pixels.middle(ORANGE));
    assert!(held_out < trained, "held-out rows have the higher NLL");
}

/// Names are text, whatever signs they have.
#[test]
fn names_are_no_markup() {
    let odd = ["<script>alert(1)</script>", "a & \"b\" $x$", "a<b"];
    let mut columns = axes(3);
    for (column, name) in columns.iter_mut().zip(odd) {
        column.name = name.into();
    }
    columns[2].scale = Scale::Levels(vec!["&amp;".into(), "<$".into()]);
    let level = |row, column, x| if column == 2 { (row % 2) as f64 } else { x };
    let rows = |rows: Matrix<f64>| {
        Matrix::from_fn(rows.rows(), 3, |row, column| {
            level(row, column, rows.get(row, column))
        })
    };
    let (data, sample) = (rows(normal(50, 3, 1)), rows(normal(500, 3, 2)));
    let picture = corner(&columns, Some(&data), &sample);
    let texts = texts(&picture);
    for name in odd.into_iter().chain(["&amp;", "<$"]).map(String::from) {
        let name = &name;
        assert!(texts.contains(name), "{name} in {texts:?}");
    }
}

/// Whole numbers and levels have bars of their own, with the model's frequency at their height, and angles no end.
#[test]
fn bars_are_of_single_values() {
    let mut columns = axes(3);
    columns[0].scale = Scale::Grid {
        step: 5.0,
        origin: 0.0,
    };
    columns[1].scale = Scale::Levels(
        ["low", "in the middle of it", "high"]
            .map(String::from)
            .to_vec(),
    );
    columns[2].scale = Scale::Circle {
        start: 0.0,
        period: 360.0,
        step: 0.0,
    };
    // Three quarters of the rows have the first number and the first level.
    let rows = Matrix::from_fn(4000, 3, |row, column| match column {
        0 => [0.0, 0.0, 0.0, 20.0][row % 4],
        1 => [0.0, 0.0, 0.0, 2.0][row % 4],
        _ => (row % 40) as f64 - 20.0,
    });
    let picture = corner(&columns, Some(&rows), &rows);
    let svg = picture.svg();
    let texts = texts(&picture);
    for label in ["low", "high", "in the …"] {
        assert!(texts.iter().any(|text| text == label), "{label}: {texts:?}");
    }
    // Two bars for each of the first two columns: others have no height.
    let document = roxmltree::Document::parse(&svg).unwrap();
    let bars = document.descendants().filter(|node| {
        let height = node
            .attribute("height")
            .and_then(|it| it.parse::<f64>().ok());
        let is_blue = node
            .attribute("fill")
            .is_some_and(|it| it.eq_ignore_ascii_case("#004488"));
        node.has_tag_name("rect") && is_blue && height.is_some_and(|height| height > 1.0)
    });
    let heights: Vec<f64> = bars
        .map(|bar| bar.attribute("height").unwrap().parse().unwrap())
        .collect();
    for pair in heights[..4].chunks(2) {
        assert!((pair[0] / pair[1] - 3.0).abs() < 0.1, "{heights:?}");
    }
    // Angles on either side of the wrap stand at the ends of the axis.
    assert!(heights.len() > 5, "{heights:?}");
}

/// Where the flows differ the map is bright, and rows on which they differ are high.
#[test]
fn spread_is_shown_where_it_is() {
    const YELLOW: Rgb = [0xfd, 0xe7, 0x25];
    let field = Field::over(&axes(2), &normal(1000, 2, 1));
    let points = field.points();
    let on_the_right = |row| if points.get(row, 0) > 0.0 { 5.0 } else { 0.1 };
    let values: Vec<f64> = (0..points.rows()).map(on_the_right).collect();
    let (count, [x, _]) = Pixels::of(&spread_map(&names(2), &field, &values, None)).middle(YELLOW);
    assert!(count > 100_000 && (0.55..0.75).contains(&x), "{count} {x}");
    let log_prob = normal(500, 1, 2).column(0).to_vec();
    let low = |p: &f64| if *p < -1.0 { 1.0 } else { 0.05 };
    let values: Vec<f64> = log_prob.iter().map(low).collect();
    let (count, [_, y]) = Pixels::of(&spread(&log_prob, &values)).middle(BLUE);
    // Most rows lie near the axis.
    assert!(count > 100 && y > 0.6, "{count} {y}");
}

/// Numbers at the ends of what numbers can be, and rows that are all the same.
#[test]
fn any_numbers_can_be_drawn() {
    let odd: [fn(usize) -> f64; 5] = [
        |row| if row % 2 == 0 { 1e300 } else { -1e300 },
        |row| 1e-300 * row as f64,
        |_| 7.0,
        |row| 1e15 + row as f64 * 0.125,
        |row| if row == 3 { f64::NAN } else { row as f64 },
    ];
    for number in odd {
        for rows in [1, 40] {
            let data = Matrix::from_fn(rows, 2, |row, _| number(row));
            let column = data.column(0).to_vec();
            let points: Vec<(f64, f64)> = column.iter().map(|y| (1.0, *y)).collect();
            let loss_curve = LossCurve {
                losses: points.clone(),
                validation: points,
                best: Some(1.0),
                entropy: column.first().copied(),
            };
            let field = Field::over(&axes(2), &data);
            let log_prob = vec![number(1); field.points().rows()];
            let of = Latent {
                standardized: data.clone(),
                density: Density::Logistic,
                shown: vec![1],
            };
            let three = data.concat_columns(&data);
            let predicted = Prediction {
                column: "c0",
                truth: &column,
                quantiles: &three,
            };
            let curve = Curve {
                given: "c1 = 0".into(),
                points: column.iter().map(|x| (*x, *x)).collect(),
            };
            for picture in [
                prediction(&predicted),
                calibration(&column),
                conditional("c0", &[curve]),
                corner(&axes(2), Some(&data), &data),
                loss(&loss_curve),
                density(&names(2), &field, &log_prob, Some(&data)),
                latent(&of),
                scores(&column),
                spread(&column, &column),
                spread_map(&names(2), &field, &log_prob, None),
            ] {
                texts(&picture);
                assert!(picture.svg().len() < 3_000_000);
                assert!(picture.png(0.25).unwrap().len() > 100);
            }
        }
    }
}
