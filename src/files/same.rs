use std::fs;
use std::path::{Path, PathBuf};

use super::output::folder;

/// Whether two paths lead to one file, whatever links lead there; also to one that neither has made yet. Devices are
/// never the same.
pub fn same(a: &Path, b: &Path) -> bool {
    let is_shared = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| {
            #[cfg(unix)]
            {
                use std::os::unix::fs::FileTypeExt;
                let kind = metadata.file_type();
                kind.is_char_device() || kind.is_socket()
            }
            #[cfg(not(unix))]
            {
                !metadata.is_file()
            }
        })
    };
    // By its number in the file system; opening nothing, as a pipe would wait for its other end.
    match (file_id::get_file_id(a), file_id::get_file_id(b)) {
        (Ok(a_id), Ok(b_id)) => a_id == b_id && !is_shared(a),
        (Err(_), Err(_)) => index(a) == index(b),
        _ => false,
    }
}

/// Where a file that does not exist would be.
fn index(path: &Path) -> PathBuf {
    let folder = folder(path);
    let real = folder.canonicalize();
    let real = real.unwrap_or_else(|_| folder.to_owned());
    real.join(path.file_name().unwrap_or_default())
}
