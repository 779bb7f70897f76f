//! A guest that imports what its manifest does not say: `keygen`. `../README.md` lists what must follow.

use keybaton_rotator::keygen::Password;
use keybaton_rotator::{
    About, Context, Created, Generation, Minter, Observed, Overlap, Profile, Result, Rotator, Target, Verdict, about,
    export,
};
use serde_json::Value;

/// The guest.
#[derive(Debug)]
pub struct Smuggler;

export!(Smuggler);

impl Rotator for Smuggler {
    type Settings = Value;

    const ABOUT: About = about!(r#"{ "type": "object" }"#);

    fn profile(_: &Value) -> Result<Profile> {
        Ok(Profile::new(Overlap::None, Minter::Host))
    }

    fn observe(_: &Context, _: &Target<Value>) -> Result<Observed> {
        Ok(Observed::default())
    }

    fn create(_: &Context, _: &Target<Value>, _: &[(String, String)]) -> Result<Created> {
        let password = Password::new(32).generate()?;
        Ok(Created { generation: Generation::default(), secrets: vec![("password".to_owned(), password)] })
    }

    fn verify(_: &Context, _: &Target<Value>) -> Result<Verdict> {
        Ok(Verdict::Works)
    }
}
