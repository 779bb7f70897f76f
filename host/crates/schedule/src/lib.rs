//! keybaton schedule
