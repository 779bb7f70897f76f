//! `http-token`: tokens of any HTTP API that mints, lists, verifies and deletes them, as its settings describe it.
//!
//! The host takes the token out of the answer before this plugin sees it.

mod calls;
mod create;
mod install;
mod names;
mod observe;
mod preflight;
mod profile;
mod retire;
pub mod settings;
mod verify;

#[cfg(test)]
#[path = "../tests/all.rs"]
mod tests;

use keybaton_rotator::{
    About, Context, Created, Facts, Finding, Observed, Profile, Result, Rotator, Target, Verdict, about,
};
use settings::Settings;

/// The name of the one secret field.
pub const TOKEN: &str = "token";
/// The name of the public field that holds the API's id of the token.
pub const TOKEN_ID: &str = "token-id";

/// The rotator.
#[derive(Debug)]
pub struct HttpToken;

keybaton_rotator::export!(HttpToken);

impl Rotator for HttpToken {
    type Settings = Settings;

    const ABOUT: About = about!(include_str!("settings.schema.json"));

    fn profile(settings: &Settings) -> Result<Profile> {
        Ok(profile::of(settings))
    }

    fn validate(settings: &Settings) -> Vec<Finding> {
        settings.findings()
    }

    fn preflight(_: &Context, target: &Target<Settings>) -> Result<Vec<Finding>> {
        preflight::run(target)
    }

    fn observe(_: &Context, target: &Target<Settings>) -> Result<Observed> {
        observe::run(target)
    }

    fn create(ctx: &Context, target: &Target<Settings>, _: &[(String, String)]) -> Result<Created> {
        create::run(ctx, target)
    }

    fn install(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
        install::run(ctx, target)
    }

    fn verify(ctx: &Context, target: &Target<Settings>) -> Result<Verdict> {
        verify::run(ctx, target)
    }

    fn destroy(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
        retire::destroy(ctx, target)
    }
}
