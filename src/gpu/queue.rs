use std::collections::VecDeque;
use std::ops::Range;
use web_time::{Duration, Instant};

use super::device::Gpu;
use super::dispatch::Dispatch;
#[cfg(feature = "testing")]
use super::fault_injection::FaultInjection;
use super::kernels::Step;
use super::ring::{RING, Ring};

/// How long one submission should take: long enough to hide its cost, short enough for whoever shares the device, and far
/// below what a watchdog allows.
pub const SUBMISSION: Duration = Duration::from_millis(40);

/// How much more work a submission may have than the one before it.
const GROWTH: f64 = 4.0;

/// Part of a run of rows: dispatches that follow one another in its list.
struct Part {
    step: Step,
    dispatches: Range<usize>,
    /// So many groups of one dispatch, from `step.first_group` on: the one that is divided.
    groups: Option<u32>,
}

/// A run of rows through some dispatches of a list.
struct Run {
    step: Step,
    dispatches: Range<usize>,
}

/// Runs of rows on their way to the device, cut into submissions by the clock: at first each dispatch is one, to learn how
/// long it takes. Where a run is cut makes no difference to its numbers.
pub struct Queue {
    runs: VecDeque<Run>,
    /// Where the first of them continues: the dispatch, and the group of it.
    dispatch: usize,
    group: u32,
    /// What each dispatch of the list takes.
    costs: Vec<Cost>,
    /// How much work a submission should have, in the seconds that it would take by the costs.
    room: f64,
    /// When the device was done with the submission before.
    latest: Instant,
}

/// A submission's parts, and what is to be learned from the time that it takes.
pub struct Submission {
    parts: Vec<Part>,
    work: f64,
    /// While costs are learned, the one dispatch that it has.
    alone: Option<Alone>,
}

struct Alone {
    /// The dispatches of its run.
    run: Range<usize>,
    rows: u32,
    /// Whether it has the dispatch's last group.
    is_whole: bool,
}

/// Rows of a divided dispatch while its cost is learned.
const LEARNING_ROWS: u32 = 1024;

/// How many of the `all` groups of a run that is.
pub fn learning_groups(step: &Step, all: u32) -> u32 {
    (LEARNING_ROWS / step.rows.div_ceil(all)).max(1)
}

/// How many times each dispatch goes alone: drivers may compile a kernel when it first runs.
const LEARNING_RUNS: usize = 2;

impl Submission {
    /// Its commands, and in the ring the records that they read.
    pub fn record(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        ring: &Ring,
        dispatches: &[Dispatch],
    ) {
        let steps: Vec<Step> = self.parts.iter().map(|part| part.step).collect();
        ring.write(gpu, &steps);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for (position, part) in self.parts.iter().enumerate() {
            ring.bind(&mut pass, position);
            for dispatch in &dispatches[part.dispatches.clone()] {
                match part.groups {
                    None => dispatch.record(&mut pass, &part.step),
                    Some(groups) => dispatch.record_groups(&mut pass, &part.step, groups),
                }
            }
        }
    }
}

#[derive(Clone, Default)]
struct Cost {
    /// For each row of the run.
    seconds: f64,
    /// Over how many runs it was learned.
    runs: usize,
}

impl Queue {
    /// For runs through a list of so many dispatches.
    pub fn new(dispatches: usize) -> Self {
        Queue {
            runs: VecDeque::new(),
            dispatch: 0,
            group: 0,
            costs: vec![Cost::default(); dispatches],
            room: SUBMISSION.as_secs_f64(),
            latest: Instant::now(),
        }
    }

    /// Forgets runs that were not sent; the device has nothing to do.
    pub fn begin(&mut self) {
        self.runs.clear();
        self.latest = Instant::now();
    }

    /// Adds a run of rows, which goes through these dispatches.
    pub fn push(&mut self, step: Step, dispatches: Range<usize>) {
        if self.runs.is_empty() {
            (self.dispatch, self.group) = (dispatches.start, 0);
        }
        self.runs.push_back(Run { step, dispatches });
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether there are as many runs as a submission may have.
    pub fn is_full(&self) -> bool {
        self.runs.len() >= RING
    }

    /// The next submission, as long as one should be; none where no run is left.
    pub fn next(&mut self, dispatches: &[Dispatch]) -> Option<Submission> {
        self.cut(|index, step| dispatches[index].divisible(step))
    }

    /// The same, by the groups of each dispatch that may be divided.
    fn cut(&mut self, divisible: impl Fn(usize, &Step) -> Option<u32>) -> Option<Submission> {
        let mut submission = Submission {
            parts: Vec::new(),
            work: 0.0,
            alone: None,
        };
        let mut left = self.room;
        // Whether the last part ends where the next dispatch begins.
        let mut goes_on = false;
        while let Some(run) = self.runs.front() {
            let parts = &mut submission.parts;
            let cost = &self.costs[self.dispatch];
            let is_alone = cost.runs < LEARNING_RUNS;
            if !parts.is_empty() && (is_alone || !goes_on && parts.len() == RING) {
                break;
            }
            let all = divisible(self.dispatch, &run.step);
            let mut groups = None;
            let mut seconds = cost.seconds * f64::from(run.step.rows);
            if let Some(all) = all {
                let each = seconds / f64::from(all);
                let some = match is_alone {
                    true => learning_groups(&run.step, all),
                    // At least one where there is nothing else.
                    false => ((left / each) as u32).max(parts.is_empty().into()),
                };
                let some = some.min(all - self.group);
                seconds = each * f64::from(some);
                groups = (some < all).then_some(some);
            }
            if !parts.is_empty() && (seconds > left || groups == Some(0)) {
                break;
            }
            left -= seconds;
            submission.work += seconds;
            match parts.last_mut() {
                Some(part) if goes_on && groups.is_none() => part.dispatches.end += 1,
                _ => parts.push(Part {
                    step: Step {
                        first_group: self.group,
                        ..run.step
                    },
                    dispatches: self.dispatch..self.dispatch + 1,
                    groups,
                }),
            }
            self.group += groups.unwrap_or(0);
            goes_on = groups.is_none();
            let is_whole = goes_on || Some(self.group) == all;
            if is_alone {
                submission.alone = Some(Alone {
                    run: run.dispatches.clone(),
                    rows: run.step.rows,
                    is_whole,
                });
            }
            if is_whole {
                (self.dispatch, self.group) = (self.dispatch + 1, 0);
            }
            if self.dispatch == run.dispatches.end {
                self.runs.pop_front();
                self.dispatch = self.runs.front().map_or(0, |run| run.dispatches.start);
                goes_on = false;
            }
            if is_alone {
                break;
            }
        }
        (!submission.parts.is_empty()).then_some(submission)
    }

    /// The device is done with a submission: the next in their order.
    pub fn done(&mut self, submission: &Submission) {
        let now = Instant::now();
        let took = now - std::mem::replace(&mut self.latest, now);
        #[cfg(feature = "testing")]
        let took = FaultInjection::steady_time().unwrap_or(took);
        self.took(submission, took.as_secs_f64());
    }

    fn took(&mut self, submission: &Submission, took: f64) {
        let requested = SUBMISSION.as_secs_f64();
        let Some(Alone {
            run,
            rows,
            is_whole,
        }) = &submission.alone
        else {
            let room = submission.work * requested / took.max(1e-6);
            // One with little work says little: it may be its own cost that took the time.
            if took > requested || 2.0 * submission.work > self.room {
                self.room = room.min(GROWTH * self.room);
            }
            return;
        };
        let part = &submission.parts[0];
        let cost = &mut self.costs[part.dispatches.start];
        if part.step.first_group == 0 {
            cost.seconds = 0.0;
        }
        let rows = f64::from(*rows);
        cost.seconds += took / rows;
        cost.runs += usize::from(*is_whole);
        let run = &mut self.costs[run.clone()];
        let seconds: f64 = run.iter().map(|cost| cost.seconds).sum();
        if rows * seconds < requested && run.iter().all(|cost| cost.runs > 0) {
            // Nothing to cut, and nothing more to learn.
            run.iter_mut().for_each(|cost| cost.runs = LEARNING_RUNS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the next submissions cut runs of rows, `(dispatches, groups)` a part, if a dispatch takes the device so many
    /// milliseconds. The first has eight groups; it may be divided where it takes long.
    fn cuts(queue: &mut Queue, milliseconds: &[f64]) -> Vec<Vec<(Range<usize>, Option<u32>)>> {
        let mut list = Vec::new();
        while let Some(submission) =
            queue.cut(|index, _| (index == 0 && milliseconds[0] > 40.0).then_some(8))
        {
            let parts = submission.parts.iter();
            let took: f64 = parts
                .clone()
                .map(|part| {
                    let share = f64::from(part.groups.unwrap_or(8)) / 8.0;
                    let each = &milliseconds[part.dispatches.clone()];
                    share * each.iter().sum::<f64>()
                })
                .sum();
            queue.took(&submission, took / 1e3);
            list.push(
                parts
                    .map(|part| (part.dispatches.clone(), part.groups))
                    .collect(),
            );
        }
        list
    }

    fn run(rows: u32) -> Step {
        Step {
            rows,
            rows_per_split: rows / 8,
            ..Step::default()
        }
    }

    /// Short runs go many at a time, once it is known that they are short.
    #[test]
    fn short_runs_share_a_submission() {
        let mut queue = Queue::new(3);
        let milliseconds = [0.9, 0.45, 0.45];
        queue.push(run(512), 0..3);
        let alone: Vec<_> = (0..3).map(|d| vec![(d..d + 1, None)]).collect();
        assert_eq!(cuts(&mut queue, &milliseconds), alone);
        for _ in 0..30 {
            queue.push(run(512), 0..3);
        }
        // 40 ms, and what is left.
        let lengths = cuts(&mut queue, &milliseconds)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>();
        assert_eq!(lengths, [22, 8]);
    }

    /// A long run is cut between its dispatches, and a dispatch that can be is cut between its groups.
    #[test]
    fn long_runs_are_cut() {
        let mut queue = Queue::new(4);
        let milliseconds = [160.0, 10.0, 25.0, 50.0];
        // Twice alone: the first in parts of 1,024 rows.
        for _ in 0..2 {
            queue.push(run(4096), 0..4);
            let cuts = cuts(&mut queue, &milliseconds);
            let mut expected = vec![vec![(0..1, Some(2))]; 4];
            expected.extend((1..4).map(|d| vec![(d..d + 1, None)]));
            assert_eq!(cuts, expected);
        }
        queue.push(run(4096), 0..4);
        queue.push(run(4096), 0..4);
        let once = [
            vec![(0..1, Some(2))],
            vec![(0..1, Some(2))],
            vec![(0..1, Some(2))],
            vec![(0..1, Some(2))],
            vec![(1..3, None)],
            vec![(3..4, None)],
        ];
        assert_eq!(
            cuts(&mut queue, &milliseconds),
            [&once[..], &once[..]].concat()
        );
        // Half as many rows take half as long, and what is not done is forgotten.
        queue.push(run(2048), 0..4);
        queue.cut(|_, _| None).unwrap();
        queue.begin();
        queue.push(run(2048), 0..4);
        assert_eq!(
            cuts(&mut queue, &milliseconds.map(|time| time / 2.0)),
            [
                vec![(0..1, Some(4))],
                vec![(0..1, Some(4))],
                vec![(1..3, None)],
                vec![(3..4, None)],
            ]
        );
    }

    /// A device that is slower than it was gets less; one that is faster gets more, by and by.
    #[test]
    fn submissions_follow_the_clock() {
        let mut queue = Queue::new(2);
        let mut lengths = |milliseconds: [f64; 2]| {
            for _ in 0..200 {
                queue.push(run(8), 0..2);
            }
            let cuts = cuts(&mut queue, &milliseconds);
            cuts.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths([0.9, 0.9])[2..4], [22, 22]);
        let slower = lengths([1.9, 1.9]);
        assert_eq!(slower[..3], [22, 11, 11]);
        let faster = lengths([0.1, 0.1]);
        assert_eq!(faster[..3], [11, 43, 148]);
    }
}
