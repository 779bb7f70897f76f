//! A guest that panics when it is asked what it is.
//! `../README.md` lists what must follow.

use keybaton_rotator::{
    About, Context, Minter, Observed, Overlap, Profile, Result, Rotator, Target, Verdict, about, export,
};
use serde_json::Value;

/// The guest.
#[derive(Debug)]
pub struct Mute;

export!(Mute);

impl Rotator for Mute {
    type Settings = Value;

    const ABOUT: About = about!(r#"{ "type": "object" }"#);

    fn describe() -> String {
        panic!("I do not say what I am")
    }

    fn profile(_: &Value) -> Result<Profile> {
        Ok(Profile::new(Overlap::None, Minter::Host))
    }

    fn observe(_: &Context, _: &Target<Value>) -> Result<Observed> {
        Ok(Observed::default())
    }

    fn verify(_: &Context, _: &Target<Value>) -> Result<Verdict> {
        Ok(Verdict::Works)
    }
}
