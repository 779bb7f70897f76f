//! The contract as `wit-bindgen` makes it. Not for plugins: [`Rotator`](crate::Rotator) and its words are.

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    pub_export_macro: true,
    default_bindings_module: "keybaton_rotator::bindings",
});
