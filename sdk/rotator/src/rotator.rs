//! The trait that a plugin implements. Its default bodies refuse what a plugin does not implement.

use crate::answer::{Created, Finding, Observed, Verdict};
use crate::failure::{Failure, Result};
use crate::profile::{About, Profile};
use crate::target::{Context, Facts, Target};
use serde::de::DeserializeOwned;

/// A rotator: one function for each export of the contract.
///
/// The functions are called in a fresh instance each: nothing is remembered between two calls but what the host
/// journalled. What a function asks of the host must follow from its arguments and from what the host answered; after
/// a crash it is run again, and its host calls are answered from the journal.
pub trait Rotator {
    /// The plugin's settings. The host has held them to [`About::settings_schema`] before any function is called.
    type Settings: DeserializeOwned;

    /// What the plugin says of itself.
    const ABOUT: About;

    /// What the plugin says of itself, as the document `describe` of the contract. Pure.
    #[must_use]
    fn describe() -> String {
        Self::ABOUT.to_json()
    }

    /// What the target can do under these settings. Pure.
    ///
    /// # Errors
    ///
    /// `permanent`, where the settings make no sense.
    fn profile(settings: &Self::Settings) -> Result<Profile>;

    /// What is wrong with settings that match the schema. Pure.
    fn validate(settings: &Self::Settings) -> Vec<Finding> {
        let _ = settings;
        Vec::new()
    }

    /// Whether the target is reachable, permits what will be asked and is as the host left it. Changes nothing. A fatal
    /// finding holds back every start but one that answers a compromise: among them what somebody did by hand to the
    /// credential in use.
    ///
    /// # Errors
    ///
    /// Where the target could not be asked. What is wrong with it is a finding, not a failure.
    fn preflight(ctx: &Context, target: &Target<Self::Settings>) -> Result<Vec<Finding>> {
        let _ = (ctx, target);
        Ok(Vec::new())
    }

    /// What is live at the target now: all of it, by whomever it was made. A live generation that is left out makes the
    /// look worthless; where the list cannot be read in full, that is a failure. Changes nothing; always called first
    /// after a crash or a lost answer.
    ///
    /// # Errors
    ///
    /// Where the target could not be asked.
    fn observe(ctx: &Context, target: &Target<Self::Settings>) -> Result<Observed>;

    /// Mints the pending credential. `offered` is public material that a consumer brought (a certificate request).
    ///
    /// Run again with the same operation, at most one credential may remain. Where the new one will overwrite what is in
    /// its slot, a credential that works there and that the host does not know is refused, unless the settings say that
    /// it may be replaced ([`Profile::replaces`]).
    ///
    /// # Errors
    ///
    /// Where nothing was minted, or it is not known whether something was.
    fn create(ctx: &Context, target: &Target<Self::Settings>, offered: &[(String, String)]) -> Result<Created> {
        let _ = (ctx, target, offered);
        Err(Failure::unsupported("create"))
    }

    /// Makes the generation valid beside the others; it survives a restart of the target. A second time is success.
    ///
    /// # Errors
    ///
    /// Where it was not made valid, or it is not known whether it was.
    fn install(ctx: &Context, target: &Target<Self::Settings>) -> Result<Facts> {
        let _ = (ctx, target);
        Err(Failure::unsupported("install"))
    }

    /// Proves that the generation works, with its own handles alone.
    ///
    /// # Errors
    ///
    /// Where it could not be told. That the target refused it is a verdict, not a failure.
    fn verify(ctx: &Context, target: &Target<Self::Settings>) -> Result<Verdict>;

    /// Tells the target which generation is the one, where it has such a notion.
    ///
    /// # Errors
    ///
    /// Where the target was not told, or it is not known whether it was.
    fn promote(ctx: &Context, target: &Target<Self::Settings>) -> Result<Facts> {
        let _ = (ctx, target);
        Err(Failure::unsupported("promote"))
    }

    /// Switches the generation off softly. One that is absent or already off is success. Where it cannot be known, by the
    /// target's id or by a login with the generation's own value, that this generation is what is live there, nothing is
    /// touched: a `permanent` failure whose code ends in `.not-ours`.
    ///
    /// # Errors
    ///
    /// Where it was not switched off, or it is not known whether it was.
    fn disable(ctx: &Context, target: &Target<Self::Settings>) -> Result<Facts> {
        let _ = (ctx, target);
        Err(Failure::unsupported("disable"))
    }

    /// Undoes [`disable`](Self::disable).
    ///
    /// # Errors
    ///
    /// Where it was not switched on, or it is not known whether it was.
    fn enable(ctx: &Context, target: &Target<Self::Settings>) -> Result<Facts> {
        let _ = (ctx, target);
        Err(Failure::unsupported("enable"))
    }

    /// Removes the generation for good. An absent one is success. What cannot be known to be this generation is left
    /// alone, as by [`disable`](Self::disable).
    ///
    /// # Errors
    ///
    /// Where it was not removed, or it is not known whether it was.
    fn destroy(ctx: &Context, target: &Target<Self::Settings>) -> Result<Facts> {
        let _ = (ctx, target);
        Err(Failure::unsupported("destroy"))
    }
}

/// Makes the component's exports out of a [`Rotator`]. Does nothing in a native build, where tests run.
#[macro_export]
macro_rules! export {
    ($rotator:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $crate::glue::Component<$rotator>;
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
