//! The contract as wasmtime sees it: generated from `wit/`. Nothing outside `convert` and `capabilities` touches these.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "plugin-with-reveal",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "keybaton:rotator/secrets.secret": crate::secret::Held,
        "keybaton:rotator/keygen.keypair": crate::capabilities::keygen::HeldKeypair,
    },
});
