//! keybaton api
