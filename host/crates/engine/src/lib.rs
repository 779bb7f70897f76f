//! keybaton engine
