//! A guest built for another version of the contract, whatever its manifest says. `../README.md` lists what must follow.
//! There is nothing here in a native build.

#![cfg(target_arch = "wasm32")]

#[expect(unsafe_code, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package keybaton:rotator@0.2.0;
            interface rotator { describe: func() -> string; }
            world plugin { export rotator; }
        ",
    });

    use super::Stranger;
    export!(Stranger with_types_in self);
}

use bindings::exports::keybaton::rotator::rotator::Guest;

struct Stranger;

impl Guest for Stranger {
    fn describe() -> String {
        "{}".to_owned()
    }
}
