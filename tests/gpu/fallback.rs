//! When the CPU takes the place of a GPU.

use couplet::config::ModelConfig;
use couplet::executor::Executor;
use couplet::fit::{Device, ExecutorRequest, Purpose};
use couplet::flow::Plan;
use couplet::testing::with_executor_decorator;
use couplet::{Error, Result};

use crate::adapter;
use crate::faulty::{Fault, Faulty};

/// Fails when it is made ready.
struct Lost;

impl Fault for Lost {
    fn log_prob(&mut self) -> Result<()> {
        Err(Error::Gpu("the device was lost".into()))
    }
}

/// A model beyond the adapter's limits, and a device that fails while it is made ready: a GPU that nobody asked for gives way to
/// the CPU, and one that was asked for says what is wrong.
#[test]
fn auto_falls_back_to_the_cpu() {
    let config = ModelConfig {
        hidden: vec![1],
        layers: 1,
        ..ModelConfig::default()
    };
    let open = |dims: usize, may_fall_back| {
        let plan = Plan::new(&config.spec(dims).unwrap()).unwrap();
        let request = ExecutorRequest {
            parameters: vec![0.0; plan.layout.len()],
            plan,
            purpose: Purpose::Score,
        };
        let opened = Device::gpu(adapter(), may_fall_back).open(&request);
        opened.map(|executor| executor.describe())
    };
    // One more than groups in a dimension.
    let wide = open(65_536, true).unwrap();
    assert!(wide.starts_with("CPU"), "{wide}");
    let refused = open(65_536, false).unwrap_err();
    assert!(refused.to_string().contains("65536 columns"), "{refused}");
    let remedies = refused.remedies().iter();
    let settings: Vec<String> = remedies
        .filter_map(|remedy| remedy.setting.as_ref())
        .map(|setting| setting.to_string())
        .collect();
    assert_eq!(settings, ["device = cpu"]);
    let fails_on_gpu = |inner: Box<dyn Executor>| -> Box<dyn Executor> {
        match inner.describe().starts_with("CPU") {
            true => inner,
            false => Box::new(Faulty { inner, fault: Lost }),
        }
    };
    with_executor_decorator(fails_on_gpu, || {
        let lost = open(4, true).unwrap();
        assert!(lost.starts_with("CPU"), "{lost}");
        assert!(matches!(open(4, false), Err(Error::Gpu(_))));
    });
}
