use std::path::{Path, PathBuf};

use crate::files::same;
use crate::model;

use super::{Failure, Result};

/// The files that a command reads and those that it writes, by the names that the user knows them by. None of them may be
/// lost.
#[derive(Default)]
pub struct OverwriteCheck<'a> {
    inputs: Vec<(&'static str, &'a Path)>,
    outputs: Vec<Output<'a>>,
}

struct Output<'a> {
    flag: &'static str,
    path: &'a Path,
    /// Whether it will be a model, which may replace a model.
    is_model: bool,
}

impl<'a> OverwriteCheck<'a> {
    pub fn reads(mut self, name: &'static str, path: Option<&'a Path>) -> Self {
        let path = path.map(|path| {
            if is_dash(path) {
                Path::new("/dev/stdin")
            } else {
                path
            }
        });
        self.inputs.extend(path.map(|path| (name, path)));
        self
    }

    pub fn reads_all(self, name: &'static str, paths: &'a [PathBuf]) -> Self {
        paths
            .iter()
            .fold(self, |check, path| check.reads(name, Some(path)))
    }

    pub fn writes(mut self, flag: &'static str, path: Option<&'a Path>) -> Self {
        self.outputs.extend(path.map(|path| Output {
            flag,
            path,
            is_model: false,
        }));
        self
    }

    pub fn writes_model(mut self, flag: &'static str, path: &'a Path) -> Self {
        self.outputs.push(Output {
            flag,
            path,
            is_model: true,
        });
        self
    }

    /// Refuses to write what is read, however it is named, or one file twice; and, unless forced, to replace a model with
    /// anything but a model.
    pub fn run(self, force: bool) -> Result<()> {
        for (index, output) in self.outputs.iter().enumerate() {
            let (flag, path) = (output.flag, output.path);
            let shown = path.display();
            if let Some((name, _)) = self.inputs.iter().find(|(_, input)| same(input, path)) {
                return Err(Failure::usage(format!(
                    "{flag} {shown}: this is {name}, which it would overwrite; name another file"
                )));
            }
            let earlier = &self.outputs[..index];
            if let Some(other) = earlier.iter().find(|other| same(other.path, path)) {
                return Err(Failure::usage(format!(
                    "{} and {flag} name the same file, {shown}; name two",
                    other.flag
                )));
            }
            if !force
                && !output.is_model
                && let Some(spec) = model::peek(path)
            {
                return Err(Failure::usage(format!(
                    "{flag} {shown}: this is a model ({spec}), which would be lost; name another file, or add --force"
                )));
            }
        }
        Ok(())
    }
}

/// Standard input or output, as people write it.
pub fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}
