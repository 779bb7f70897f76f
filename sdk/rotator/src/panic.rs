//! A panic in a guest is nothing but a trap to the host. This hook logs where and why before that.

use crate::log::{self, Level};
use std::panic::PanicHookInfo;
use std::sync::Once;

/// Installs the hook, once for an instance.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(report)));
}

fn report(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    let at = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
    log::emit(Level::Error, message, &[("panicked-at", &at)]);
}
