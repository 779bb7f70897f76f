//! `postgres-password`: the password of one role (overlap `none`) or of two roles in turn (overlap `alternate`).
//!
//! The password is made by the host and reaches the server as a SCRAM verifier only. Nothing here sees it.

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
pub const PASSWORD: &str = "password";
/// The name of the public field that says which role to log in as.
pub const USERNAME: &str = "username";

/// The rotator.
#[derive(Debug)]
pub struct PostgresPassword;

keybaton_rotator::export!(PostgresPassword);

impl Rotator for PostgresPassword {
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

    fn disable(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
        retire::disable(ctx, target)
    }

    fn enable(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
        retire::enable(ctx, target)
    }

    fn destroy(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
        retire::destroy(ctx, target)
    }
}
