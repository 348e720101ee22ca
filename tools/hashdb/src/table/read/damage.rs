//! Calls into libraries that read files of other programs. A damaged file is an error here, also where a
//! library takes it for a broken promise of its own and panics.

use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use anyhow::{Result, anyhow};

/// Calls a reader; what goes wrong is an error that names the file.
pub(super) fn reading<T, E: Display>(
    path: &Path,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let called = panic::catch_unwind(AssertUnwindSafe(call));
    panic::set_hook(hook);
    let path = path.display();
    match called {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(anyhow!("{path} cannot be read: {error}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref().copied()).unwrap_or("no cause given");
            Err(anyhow!("{path} is damaged: {text}"))
        }
    }
}
