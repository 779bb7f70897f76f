//! keybaton protocol
