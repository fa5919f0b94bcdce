use std::path::PathBuf;

use crate::model::Model;

use super::output::print;
use super::{Result, input};

#[derive(clap::Args)]
pub struct InfoArgs {
    /// Model file
    model: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &InfoArgs) -> Result<()> {
    let model = Model::load(&args.model).map_err(input)?;
    print(&match args.json {
        true => format!("{}\n", model.to_json()?),
        false => format!("{}\n{}", args.model.display(), model.to_text()?),
    })
}
