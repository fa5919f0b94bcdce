use super::*;

use couplet::flow::{Columns, Concat};

/// The frozen columns, then the context, from one buffer (layer 0) or from two.
#[test]
fn concat_puts_the_context_behind_the_frozen_columns() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::ALL[0]);
    let parameters = bench.parameters(&[0.0]);
    for (frozen, context) in [(1, 1), (3, 2), (2, 200)] {
        for data in [0, 1] {
            let op = Concat {
                frozen: Columns {
                    buffer: 0,
                    first: 1,
                    count: frozen,
                },
                context: Columns {
                    buffer: data,
                    first: frozen + 2,
                    count: context,
                },
                output: Columns {
                    buffer: 2,
                    first: 0,
                    count: frozen + context,
                },
            };
            for rows in ROWS {
                let what = format!("{frozen} and {context} of buffer {data}, {rows} rows");
                let columns = frozen + context + 3;
                let states = [1, 2].map(|seed| TestMatrix::new(rows, columns, seed));
                let output = TestMatrix::new(rows, frozen + context, 0);
                let buffers = [
                    bench.filled(&states[0].flat()),
                    bench.filled(&states[1].flat()),
                    bench.poisoned(output.columns * output.stride),
                ];
                let builder = bench.builder(&plan, &parameters, &buffers);
                let step = Step {
                    rows: rows as u32,
                    stride: output.stride as u32,
                    ..Step::default()
                };
                bench.run(&builder.concat(&op).unwrap(), step);
                let expected: Vec<_> = starts(rows)
                    .map(|first| {
                        let [state, of_context] = [0, data].map(|k| states[k].block(first));
                        let frozen = &state[op.frozen.range()];
                        [frozen, &of_context[op.context.range()]].concat()
                    })
                    .collect();
                check_columns(&what, &bench, &buffers[2], &output, 0, &expected);
            }
        }
    }
}
