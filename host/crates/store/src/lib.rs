//! keybaton store
