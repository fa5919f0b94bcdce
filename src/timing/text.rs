use std::fmt;

use super::{PeakThroughput, Timing};

impl fmt::Display for PeakThroughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} GFLOP/s of multiply-adds in f32, {:.1} GB/s of copying: {}",
            self.gflops, self.copy_gb_per_second, self.device
        )
    }
}

impl Timing {
    /// The captions of the columns.
    pub const HEADER: &str = "workload  device                 what                 median       min       max     rows/s  GFLOP/s of peak";
}

/// A row of a table, and below it a line for each kernel that was timed.
impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, min, max) = (self.ms, self.min, self.max);
        let unit = if self.what == "train" {
            "step"
        } else {
            "million"
        };
        let device: String = self.device.chars().take(22).collect();
        write!(
            f,
            "{:<9} {device:<22} {:<6} ms/{unit:<7} {ms:>9.3} {min:>9.3} {max:>9.3} {:>10.3e} {:>8.1} {:>9.0}%",
            self.workload,
            self.what,
            self.rows_per_second,
            self.gflops,
            100.0 * self.of_peak
        )?;
        let whole: f64 = self.kernels.iter().map(|share| share.us).sum();
        for share in &self.kernels {
            write!(
                f,
                "\n          {:<32} {:>4} dispatches {:>9.3} ms a step {:>4.0}% of the kernels' time {:>8.1} GB/s {:>4.0}% of copying",
                share.kernel,
                share.dispatches,
                1e-3 * share.us,
                100.0 * share.us / whole,
                share.gb_per_second,
                100.0 * share.of_copy_peak
            )?;
        }
        if let Some(share) = self.products_of_peak {
            write!(
                f,
                "\n          the kernels that make products reach {:.1}% of the peak",
                100.0 * share
            )?;
        }
        Ok(())
    }
}
