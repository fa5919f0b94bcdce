//! Writes the plots and the HTML report of a run.

use std::path::{Path, PathBuf};

use crate::files::{OutputFile, write_whole};
use crate::fit::{Report, Session};
use crate::report::{Origin, page, pictures};

use super::inputs::Inputs;
use super::shell::quoted;
use super::train_args::{TrainArgs, is_stream};
use super::{Result, flag, plot};

/// Sees that pictures and report can be written, before any work is done for them.
pub fn check_outputs(args: &TrainArgs) -> Result<()> {
    if let Some(folder) = &args.plot {
        plot::ready(folder, &plot::of_training(folder))?;
    }
    if let Some(path) = &args.report {
        OutputFile::check(path)?;
    }
    Ok(())
}

/// Draws a run and reports of it, as far as that is asked for.
pub fn write(
    args: &TrainArgs,
    inputs: &Inputs,
    session: Session<'_>,
    report: &Report,
) -> Result<()> {
    if args.plot.is_none() && args.report.is_none() {
        return Ok(());
    }
    let (flow, prepared) = session.into_flow()?;
    let plots = pictures(&flow, &prepared, report)?;
    if let Some(folder) = &args.plot {
        plot::write_training(folder, &plots.pictures)?;
    }
    let Some(path) = &args.report else {
        return Ok(());
    };
    let title = title(args);
    let origin = Origin {
        name: match &args.data[..] {
            [path] => path.display().to_string(),
            _ => title.clone(),
        },
        title,
        model: inputs.out.display().to_string(),
        commands: commands(args, inputs),
    };
    let page = page(&flow, &prepared, report, origin, &plots, flag)?;
    write_whole(path, page.as_bytes())?;
    log::info!("report written to {}", path.display());
    Ok(())
}

fn title(args: &TrainArgs) -> String {
    let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_owned();
    match (args.data.first(), &args.target) {
        (Some(path), _) => {
            let more = match args.data.len() {
                1 => String::new(),
                files => format!(" and {} more", files - 1),
            };
            format!("{}{more}", name(path).to_string_lossy())
        }
        (None, Some(target)) => target.name().into(),
        (None, None) => "the reference experiment".into(),
    }
}

fn commands(args: &TrainArgs, inputs: &Inputs) -> Vec<String> {
    let words = args.command.iter().skip(1).map(|word| quoted(word));
    let again: Vec<String> = std::iter::once("couplet".into()).chain(words).collect();
    let model = quoted(inputs.out.as_os_str());
    let mut commands = vec![
        "# the same model, byte for byte on the same device".to_string(),
        again.join(" "),
    ];
    let can_be_read_again = |path: &PathBuf| !is_stream(path);
    if !args.data.is_empty() && args.data.iter().all(can_be_read_again) {
        let data = args.data.iter();
        let data: Vec<String> = data.map(|path| quoted(path.as_os_str())).collect();
        let score = data.join(" ");
        let plot = data.join(" --data ");
        commands.push(format!("couplet score {model} {score} --summary"));
        commands.push(format!("couplet plot {model} --data {plot}"));
    } else {
        commands.push(format!("couplet plot {model}"));
    }
    commands.push(format!("couplet sample {model} -n 1000"));
    commands
}
