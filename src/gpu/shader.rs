use std::fmt::Write;

use wgpu::naga::{AddressSpace, StorageAccess, front::wgsl};

/// One WGSL file, or a generated piece of one.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// For messages: its path under `shaders/`.
    pub name: &'static str,
    pub text: &'static str,
}

/// A file under `shaders/`.
macro_rules! file {
    ($name:literal) => {
        $crate::gpu::shader::File {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name)),
        }
    };
}
pub(super) use file;

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

/// Several files in one text, with the way back from a line of the whole to a line of a file.
///
/// Kernels are composed by concatenation alone: the generated prelude, the shared files a kernel needs, the kernel.
#[derive(Clone, Debug)]
pub struct Source {
    /// The whole.
    pub text: String,
    /// For each piece: its name and the line of the whole (from 0) it begins at.
    pieces: Vec<(&'static str, usize)>,
}

impl Source {
    /// The prelude, and the files in their order.
    pub fn compose(prelude: &str, files: &[File]) -> Self {
        let mut source = Source {
            text: String::new(),
            pieces: Vec::new(),
        };
        source.push("generated prelude", prelude);
        for file in files {
            source.push(file.name, file.text);
        }
        source
    }

    fn push(&mut self, name: &'static str, text: &str) {
        self.pieces.push((name, self.text.lines().count()));
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// The file and line (from 1) of a line (from 1) of the whole.
    pub fn locate(&self, line: u32) -> (&'static str, u32) {
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
    /// What does not parse, at its file and line.
    pub fn bindings(&self) -> Result<Vec<(u32, Access)>, String> {
        let module = wgsl::parse_str(&self.text).map_err(|error| {
            let at = error.location(&self.text);
            let (name, line) = self.locate(at.map_or(1, |place| place.line_number));
            format!("shaders/{name}:{line}: {error}")
        })?;
        let mut bindings: Vec<_> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let binding = variable.binding.as_ref().filter(|place| place.group == 1)?;
                let access = match variable.space {
                    AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => {
                        Access::Write
                    }
                    AddressSpace::Storage { .. } => Access::Read,
                    _ => Access::Uniform,
                };
                Some((binding.binding, access))
            })
            .collect();
        bindings.sort_by_key(|&(number, _)| number);
        Ok(bindings)
    }

    /// What a compiler said, with places in the files rather than in the whole.
    pub fn explain(&self, messages: &[wgpu::CompilationMessage]) -> String {
        let mut text = String::new();
        for message in messages {
            let place = match message.location {
                Some(at) => {
                    let (name, line) = self.locate(at.line_number);
                    format!("shaders/{name}:{line}:{}", at.line_position)
                }
                None => "shaders".into(),
            };
            let _ = writeln!(text, "{place}: {}", message.message);
        }
        text
    }
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
        let files = [
            File {
                name: "a.wgsl",
                text: "one\ntwo",
            },
            File {
                name: "b.wgsl",
                text: "three\nfour\n",
            },
        ];
        let source = Source::compose("zero\n", &files);
        assert_eq!(source.text, "zero\none\ntwo\nthree\nfour\n");
        assert_eq!(source.locate(1), ("generated prelude", 1));
        assert_eq!(source.locate(3), ("a.wgsl", 2));
        assert_eq!(source.locate(4), ("b.wgsl", 1));
    }
}
