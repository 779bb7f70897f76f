//! keybaton runtime
