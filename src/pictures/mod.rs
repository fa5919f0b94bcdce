//! Plots of a flow and of its training, as SVG and PNG. Each function takes numbers and draws them; [`PlotSet`] computes the
//! numbers from a flow.

mod axes;
mod calibration;
mod column_axis;
mod conditional;
mod corner;
mod density;
mod latent;
mod loss;
mod plot_set;
mod prediction;
mod scores;
mod smooth;
mod spread;
#[cfg(test)]
mod tests;
mod ticks;

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use resvg::usvg::fontdb;
use resvg::{tiny_skia, usvg};

use crate::error::{Error, Result};

pub use calibration::{calibration, uniform};
pub use column_axis::{ColumnAxis, Scale};
pub use conditional::{Curve, conditional};
pub use corner::corner;
pub use density::{Field, density};
pub use latent::{Latent, latent};
pub use loss::loss;
pub use plot_set::{PlotRequest, PlotSet};
pub use prediction::{PROBABILITIES, Prediction, prediction};
pub use scores::scores;
pub use spread::{spread, spread_map};

/// A picture.
pub struct Picture {
    /// A word for the name of its file.
    pub name: &'static str,
    /// What it shows, in a sentence or two.
    pub caption: String,
    scene: Scene,
}

/// The names that pictures have.
pub const NAMES: [&str; 9] = [
    "loss",
    "corner",
    "density",
    "spread",
    "prediction",
    "calibration",
    "conditional",
    "latent",
    "scores",
];

impl Picture {
    /// The picture as an SVG document, with text as text.
    pub fn svg(&self) -> String {
        let svg = SvgBackend::new().render_scene(&self.scene);
        // So that it can be shown at any size.
        let Scene { width, height, .. } = self.scene;
        svg.replacen(
            "<svg ",
            &format!("<svg viewBox=\"0 0 {width} {height}\" "),
            1,
        )
    }

    /// The picture as a PNG file, with `scale` pixels for each unit of the SVG.
    ///
    /// # Errors
    /// [`Error::Spec`] where no PNG can be so large, or none so small.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>> {
        let failed = |error: &dyn Display| Error::spec(format!("{}: no PNG: {error}", self.name));
        let svg = self.svg();
        let options = usvg::Options {
            fontdb: fonts(&svg),
            ..usvg::Options::default()
        };
        let tree = usvg::Tree::from_str(&svg, &options).map_err(|error| failed(&error))?;
        let size = tree.size().to_int_size();
        let mut pixels = size
            .scale_by(scale)
            .and_then(|size| tiny_skia::Pixmap::new(size.width(), size.height()))
            .ok_or_else(|| failed(&format!("it cannot have {scale} pixels a unit")))?;
        let scale = tiny_skia::Transform::from_scale(scale, scale);
        resvg::render(&tree, scale, &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| failed(&error))
    }
}

/// The fonts for a document: one that is always there, and the system's where names are in letters that it lacks.
fn fonts(svg: &str) -> Arc<fontdb::Database> {
    static ALWAYS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let always = ALWAYS.get_or_init(|| {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        fonts.load_font_data(dejavu::sans::bold().to_vec());
        Arc::new(fonts)
    });
    let is_lacking = |letter: char| matches!(letter, '\u{900}'..='\u{109f}' | '\u{1100}'..='\u{1dff}' | '\u{2e80}'..);
    if !svg.chars().any(is_lacking) {
        return always.clone();
    }
    let mut fonts = (**always).clone();
    fonts.load_system_fonts();
    Arc::new(fonts)
}
