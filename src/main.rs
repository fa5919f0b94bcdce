use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_drivers();
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    if beginning::STDOUT_IS_CLOSED.load(std::sync::atomic::Ordering::Relaxed) {
        couplet::cli::stdout_is_closed();
    }
    couplet::cli::run(std::env::args_os()).into()
}

/// Mesa's drivers look for a Wayland display when they are loaded, and where there is no session (a container, a cluster
/// node) libwayland prints "error: XDG_RUNTIME_DIR is invalid" in our name. Any absolute path silences it.
fn quiet_drivers() {
    const NAME: &str = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(NAME).is_none() {
        // SAFETY: the first thing main does; no other thread exists yet that could read the environment.
        unsafe { std::env::set_var(NAME, "/nonexistent") };
    }
}

/// What can only be seen at program start: before `main`, Rust opens a device instead of a stream that is closed.
#[cfg(any(target_os = "linux", target_os = "macos"))]
mod beginning {
    use std::sync::atomic::{AtomicBool, Ordering};

    pub static STDOUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

    // SAFETY: the loader calls what stands in this section, before anything of Rust's own.
    #[used]
    #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
    #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        // SAFETY: asks for the flags of a file descriptor, and changes nothing.
        let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
        STDOUT_IS_CLOSED.store(flags == -1, Ordering::Relaxed);
    }
}
