//! Several processes that train together, here threads: the same losses as one, the same flow on all of them.

use std::sync::{Arc, Barrier, Mutex};

use couplet::collective::Collective;
use couplet::data::SAMPLE_ROWS;
use couplet::executor::{Executor, Share, Stop, Training};
use couplet::fit::{Event, StopSignal};
use couplet::random::{Purpose, normal_at};
use couplet::{Fit, Fitted, Matrix, Table};

/// Threads that meet in every call.
#[derive(Clone, Debug)]
struct Threads {
    rank: usize,
    meeting: Arc<Meeting>,
}

#[derive(Debug)]
struct Meeting {
    barrier: Barrier,
    said: Mutex<Vec<Vec<u8>>>,
    size: usize,
}

impl Threads {
    fn all(size: usize) -> Vec<Threads> {
        let meeting = Arc::new(Meeting {
            barrier: Barrier::new(size),
            said: Mutex::new(vec![Vec::new(); size]),
            size,
        });
        let of_rank = |rank| Threads {
            rank,
            meeting: meeting.clone(),
        };
        (0..size).map(of_rank).collect()
    }

    fn exchange_bytes(&self, mine: &[u8]) -> Vec<Vec<u8>> {
        self.meeting.said.lock().unwrap()[self.rank] = mine.to_vec();
        self.meeting.barrier.wait();
        let all = self.meeting.said.lock().unwrap().clone();
        // None says more before all have heard this.
        self.meeting.barrier.wait();
        all
    }
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.size
    }

    fn gather(&self, mine: &[f32], to: &mut [f32]) {
        let bytes: Vec<u8> = mine.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let all = self.exchange_bytes(&bytes).concat();
        let number = |bytes: &[u8]| f32::from_ne_bytes(bytes.try_into().unwrap());
        to.copy_from_slice(&all.chunks_exact(4).map(number).collect::<Vec<_>>());
    }

    fn exchange(&self, parts: &[f32], received: &mut [f32]) {
        let bytes: Vec<u8> = parts.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let part = parts.len() / self.size();
        let mine = 4 * part * self.rank..4 * part * (self.rank + 1);
        let all = self.exchange_bytes(&bytes);
        let all: Vec<u8> = all
            .iter()
            .flat_map(|of_rank| &of_rank[mine.clone()])
            .copied()
            .collect();
        let number = |bytes: &[u8]| f32::from_ne_bytes(bytes.try_into().unwrap());
        received.copy_from_slice(&all.chunks_exact(4).map(number).collect::<Vec<_>>());
    }

    fn gather_f64(&self, mine: &[f64], to: &mut [f64]) {
        let bytes: Vec<u8> = mine.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let all = self.exchange_bytes(&bytes).concat();
        let number = |bytes: &[u8]| f64::from_ne_bytes(bytes.try_into().unwrap());
        to.copy_from_slice(&all.chunks_exact(8).map(number).collect::<Vec<_>>());
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.exchange_bytes(&bytes).swap_remove(0)
    }
}

fn table(rows: usize) -> Table {
    let z = |row: usize, j| f64::from(normal_at(4, Purpose::TargetRows, row as u64, j));
    let values = Matrix::from_fn(rows, 2, |row, j| match j {
        0 => z(row, 0),
        _ => z(row, 0).powi(2) + 0.3 * z(row, 1),
    });
    Table::new(["x", "y"], values).unwrap()
}

fn fit(table: &Table) -> Fit<'_> {
    let mut settings = couplet::config::Overrides::default();
    settings.model.mixture = Some(false);
    settings.model.layers = Some(4);
    settings.model.hidden = Some(vec![16]);
    settings.train.ensemble = Some(1);
    settings.train.extension = Some(0);
    Fit::new(table)
        .settings(settings)
        .steps(200)
        .seed(2)
        .log_every(1)
}

/// What each rank is left with, and the losses that it logged.
fn by(
    size: usize,
    table: &Table,
    change: impl Fn(usize, Fit<'_>) -> Fit<'_> + Sync,
) -> Vec<(Fitted, Vec<f64>)> {
    let (change, table) = (&change, table);
    std::thread::scope(|scope| {
        let runs: Vec<_> = Threads::all(size)
            .into_iter()
            .map(|ranks| {
                scope.spawn(move || {
                    let losses = Arc::new(Mutex::new(Vec::new()));
                    let seen = losses.clone();
                    let rank = ranks.rank();
                    let fit = change(rank, fit(table));
                    let fit = match size {
                        1 => fit,
                        _ => fit.collective(Arc::new(ranks)),
                    };
                    let fitted = fit.on_event(move |event| {
                        if let Event::Step(report) = event {
                            seen.lock().unwrap().push(report.nll);
                        }
                        Ok(())
                    });
                    let fitted = fitted.run().unwrap();
                    let losses = losses.lock().unwrap().clone();
                    (fitted, losses)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

fn same(_: usize, fit: Fit<'_>) -> Fit<'_> {
    fit
}

#[test]
fn ranks_take_the_steps_of_one_process() {
    let table = table(3000);
    let [(alone, expected)] = &by(1, &table, same)[..] else {
        unreachable!()
    };
    for size in [2, 3, 4] {
        let all = by(size, &table, same);
        for (fitted, losses) in &all {
            for (step, (loss, expected)) in losses.iter().zip(expected).enumerate().take(20) {
                assert!(
                    (loss - expected).abs() < 1e-5,
                    "{size} {step}: {loss} {expected}"
                );
            }
            let model = |fitted: &Fitted| fitted.flow.model().to_bytes().unwrap();
            assert_eq!(model(fitted), model(&all[0].0), "{size} ranks differ");
            let [nll, expected] =
                [&fitted.report, &alone.report].map(|it| it.validation_nll().unwrap());
            assert!((nll - expected).abs() < 0.02, "{size}: {nll} {expected}");
            assert_eq!(fitted.report.rows, alone.report.rows);
            assert_eq!(fitted.report.baselines, alone.report.baselines);
        }
        let again = by(size, &table, same);
        assert_eq!(again[0].1, all[0].1, "{size} ranks again");
    }
}

/// Of a long table each rank has a part of the rows; the batches are those of all.
#[test]
fn ranks_share_the_rows_of_a_long_table() {
    let table = table(SAMPLE_ROWS + 9_001);
    let few: fn(usize, Fit<'_>) -> Fit<'_> = |_, fit| fit.steps(40);
    let [(_, expected)] = &by(1, &table, few)[..] else {
        unreachable!()
    };
    let all = by(3, &table, few);
    for (fitted, losses) in &all {
        assert_eq!(losses.len(), expected.len());
        for (step, (loss, expected)) in losses.iter().zip(expected).enumerate().take(20) {
            assert!((loss - expected).abs() < 1e-5, "{step}: {loss} {expected}");
        }
        assert!(fitted.report.rows > SAMPLE_ROWS - 5_000);
        assert!(fitted.report.nll_error.is_some());
    }
}

/// One rank is asked to stop: all stop after the same step.
#[test]
fn one_rank_stops_all() {
    let table = table(3000);
    let stop = StopSignal::default();
    let all = by(3, &table, |rank, fit| {
        let fit = fit.steps(100_000);
        match rank {
            1 => {
                stop.request();
                fit.stop_signal(stop.clone())
            }
            _ => fit,
        }
    });
    let steps: Vec<usize> = all.iter().map(|(fitted, _)| fitted.report.steps).collect();
    assert_eq!(steps, [1, 1, 1]);
    assert!(all.iter().all(|(fitted, _)| fitted.report.stopped));
}

/// A rank that has no row of a batch, or none at all, takes part all the same.
#[test]
fn empty_shares_are_nothing() {
    use couplet::cpu::CpuExecutor;
    use couplet::executor::Distributed;
    use couplet::flow::{Plan, initial_parameters};
    let plan = Plan::new(&crate::common::flow("two columns")).unwrap();
    let parameters = initial_parameters(&plan.layout, 3);
    let rows = crate::common::training_rows(3, 2, 1);
    let training = Training {
        batch_size: 2,
        ..crate::common::training(2)
    };
    let mut alone = CpuExecutor::<f64>::new(plan.clone(), &parameters);
    alone.start(&rows, &training).unwrap();
    let expected = alone.train(9).unwrap().losses;
    let found = std::thread::scope(|scope| {
        let runs: Vec<_> = Threads::all(5)
            .into_iter()
            .map(|ranks| {
                let (plan, parameters, rows, training) = (&plan, &parameters, &rows, &training);
                scope.spawn(move || {
                    let mine: Vec<u32> =
                        (0..3).filter(|row| row % 5 == ranks.rank as u32).collect();
                    let mut inner = CpuExecutor::<f64>::new(plan.clone(), parameters);
                    inner
                        .start(&couplet::data::take(rows, &[0, 1]), training)
                        .unwrap();
                    let share = Share {
                        rows: (Arc::new(couplet::data::take(rows, &mine)), Arc::default()),
                        count: 3,
                        has_all: false,
                    };
                    let stop = Stop {
                        requested: Arc::default(),
                        agreed: Arc::default(),
                    };
                    let mut all =
                        Distributed::new(Box::new(inner), Arc::new(ranks), share, training, stop);
                    let losses = all.train(9).unwrap().losses;
                    // By all of them, in parts of which some are empty.
                    let log_prob = all.log_prob(&rows.map(f64::from)).unwrap();
                    (losses, log_prob)
                })
            })
            .collect();
        let found: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        found
    });
    let log_prob = alone.log_prob(&rows.map(f64::from)).unwrap();
    for (losses, found) in found {
        for (loss, expected) in losses.iter().zip(&expected) {
            assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
        }
        for (found, expected) in found.iter().zip(&log_prob) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}
