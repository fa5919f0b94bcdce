use std::fmt::Write;

use include_dir::{Dir, include_dir};

/// Every WGSL file, by its path under `shaders/`.
static SHADERS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/shaders");

/// A file under `shaders/`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    path: String,
    text: &'static str,
}

impl File {
    fn open(path: String) -> Result<Self, String> {
        match SHADERS
            .get_file(&path)
            .and_then(|file| file.contents_utf8())
        {
            Some(text) => Ok(File { path, text }),
            None => Err(format!("there is no shaders/{path}")),
        }
    }

    /// What its first line imports: names of files under `shaders/shared`, or `<part>`, for which a kernel chooses one.
    fn imports(&self) -> impl Iterator<Item = &'static str> {
        let first = self.text.lines().next().unwrap_or_default();
        let names = first.strip_prefix(IMPORT).into_iter();
        names.flat_map(|names| names.split(',').map(str::trim))
    }
}

const IMPORT: &str = "#import ";

/// The files that a kernel is made of: its own, behind all that it and they import, each once. `choices` has the file that
/// stands for each `<part>`.
fn resolve(kernel: &str, choices: &[(&str, String)]) -> Result<Vec<File>, String> {
    fn visit(
        file: File,
        choices: &[(&str, String)],
        visited: &mut Vec<String>,
        files: &mut Vec<File>,
    ) -> Result<(), String> {
        visited.push(file.path.clone());
        for name in file.imports() {
            let part = name.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
            let name = match part {
                None => name,
                Some(part) => {
                    let choice = choices.iter().find(|(known, _)| *known == part);
                    let missing = || format!("{}: nothing stands for <{part}>", file.path);
                    &choice.ok_or_else(missing)?.1
                }
            };
            let path = format!("shared/{name}.wgsl");
            if !visited.contains(&path) {
                let found = File::open(path).map_err(|error| format!("{}: {error}", file.path))?;
                visit(found, choices, visited, files)?;
            }
        }
        files.push(file);
        Ok(())
    }
    let mut files = Vec::new();
    visit(
        File::open(format!("{kernel}.wgsl"))?,
        choices,
        &mut Vec::new(),
        &mut files,
    )?;
    Ok(files)
}

/// How a kernel uses a binding of group 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A uniform buffer.
    Uniform,
    /// A storage buffer that is read.
    Read,
    /// A storage buffer that is written, too.
    Write,
}

/// Several files in one text, with the way back from a line of the whole to a line of a file: the generated prelude, what a
/// kernel imports, the kernel.
#[derive(Clone, Debug)]
pub struct Source {
    /// The whole.
    pub text: String,
    /// For each piece: its name and the line of the whole (from 0) it begins at.
    pieces: Vec<(String, usize)>,
}

impl Source {
    /// The prelude, and the files of a kernel; `choices` has the file that stands for each `<part>` that they import.
    ///
    /// # Panics
    /// If a file imports what is not there: a mistake in this library, which its tests compile every kernel to find.
    pub fn compose(prelude: &str, kernel: &str, choices: &[(&str, String)]) -> Self {
        let mut source = Source {
            text: String::new(),
            pieces: Vec::new(),
        };
        source.push("generated prelude".into(), prelude);
        match resolve(kernel, choices) {
            Ok(files) => {
                for file in files {
                    // A comment to WGSL, so that lines keep their numbers.
                    source.push(file.path, &file.text.replacen(IMPORT, "// import ", 1));
                }
            }
            Err(error) => panic!("{error}"),
        }
        source
    }

    fn push(&mut self, name: String, text: &str) {
        self.pieces.push((name, self.text.lines().count()));
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// The file and line (from 1) of a line (from 1) of the whole.
    pub fn locate(&self, line: u32) -> (&str, u32) {
        let line = line.max(1) as usize - 1;
        let (name, first) = self
            .pieces
            .iter()
            .rev()
            .find(|(_, first)| *first <= line)
            .unwrap_or(&self.pieces[0]);
        (name, (line - first + 1) as u32)
    }

    /// The bindings of group 1, as the text declares them: number and access, in the order of the numbers.
    ///
    /// # Errors
    /// A declaration that is not written as these are, at its file and line: `@group(1) @binding(2) var<storage, read> name: type;`.
    pub fn bindings(&self) -> Result<Vec<(u32, Access)>, String> {
        let mut bindings = Vec::new();
        for (line, number) in self.text.lines().zip(1..) {
            let Some(declaration) = line.trim_start().strip_prefix("@group(1)") else {
                continue;
            };
            bindings.push(binding(declaration).ok_or_else(|| {
                let (name, line) = self.locate(number);
                format!(
                    "shaders/{name}:{line}: this declares no buffer in a way that is known here"
                )
            })?);
        }
        bindings.sort_by_key(|&(number, _)| number);
        Ok(bindings)
    }

    /// What a compiler said, with positions in the files rather than in the whole.
    pub fn explain(&self, messages: &[wgpu::CompilationMessage]) -> String {
        let mut text = String::new();
        for message in messages {
            let index = match message.location {
                Some(at) => {
                    let (name, line) = self.locate(at.line_number);
                    format!("shaders/{name}:{line}:{}", at.line_position)
                }
                None => "shaders".into(),
            };
            let _ = writeln!(text, "{index}: {}", message.message);
        }
        text
    }
}

/// The number and access of a declaration, from behind its group.
fn binding(declaration: &str) -> Option<(u32, Access)> {
    let rest = declaration.trim_start().strip_prefix("@binding(")?;
    let (number, rest) = rest.split_once(')')?;
    let rest = rest.trim_start().strip_prefix("var<")?;
    let (space, _) = rest.split_once('>')?;
    let access = match space {
        "uniform" => Access::Uniform,
        "storage, read" => Access::Read,
        "storage, read_write" => Access::Write,
        _ => return None,
    };
    Some((number.parse().ok()?, access))
}

/// A uniform record with the same fields in Rust and WGSL, written once. Every field is four bytes wide, so that the
/// two layouts agree.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl $name {
            /// The WGSL declaration of this record.
            pub const WGSL: &'static str = concat!(
                "struct ", stringify!($name), " {\n",
                $("    ", stringify!($field), ": ", stringify!($kind), ",\n",)*
                "}\n",
            );
        }
    };
}
pub(super) use record;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lead_back_to_files() {
        let source = Source::compose("zero\none\n", "gradient_norm", &[]);
        assert_eq!(source.locate(2), ("generated prelude", 2));
        assert_eq!(source.locate(3), ("shared/squares.wgsl", 1));
        let (line, _) = source.text.lines().enumerate().last().unwrap();
        let (name, last) = source.locate(line as u32 + 1);
        let kernel = File::open("gradient_norm.wgsl".into()).unwrap();
        assert_eq!(
            (name, last as usize),
            ("gradient_norm.wgsl", kernel.text.lines().count())
        );
    }

    #[test]
    fn missing_imports_say_where_they_stand() {
        let error = resolve("coupling_forward", &[]).unwrap_err();
        assert_eq!(
            error,
            "coupling_forward.wgsl: nothing stands for <transform>"
        );
        let error = resolve("coupling_forward", &[("transform", "no_such".into())]).unwrap_err();
        assert!(
            error.contains("coupling_forward.wgsl") && error.contains("no_such"),
            "{error}"
        );
        assert!(resolve("no_such", &[]).is_err());
    }

    /// A file that no kernel imports is dead.
    #[test]
    fn every_file_belongs_to_a_kernel() {
        let kernels = crate::gpu::kernels::Kernel::all();
        let used: std::collections::BTreeSet<String> = kernels
            .into_iter()
            .flat_map(|kernel| kernel.source().pieces)
            .map(|(name, _)| name)
            .collect();
        let all = SHADERS
            .files()
            .chain(SHADERS.get_dir("shared").unwrap().files());
        for file in all.filter(|file| file.path().extension().is_some_and(|it| it == "wgsl")) {
            let path = file.path().to_str().unwrap();
            assert!(used.contains(path), "no kernel is made of shaders/{path}");
        }
    }
}
