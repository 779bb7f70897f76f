//! What an operator should put right before a rotation starts. Changes nothing.

use crate::calls::Calls;
use crate::settings::Settings;
use keybaton_rotator::{FailureClass, Finding, Result, Target};

pub(crate) fn run(target: &Target<Settings>) -> Result<Vec<Finding>> {
    let settings = &target.settings;
    let listing = match Calls::new(settings).list() {
        Ok(listing) => listing,
        // Settings that do not fit the API: something to put right, not an API that could not be asked.
        Err(failure) if failure.class() == FailureClass::Permanent => {
            return Ok(vec![Finding::fatal("/list", failure.message())]);
        }
        Err(failure) => return Err(failure),
    };
    let live = listing.tokens.len();
    let full = usize::try_from(settings.limit).is_ok_and(|limit| live >= limit);
    let message = || {
        format!(
            "{live} tokens are live where `limit` is {}: a new one has no room before one of them is deleted",
            settings.limit
        )
    };
    Ok(full.then(|| Finding::warning("/limit", message())).into_iter().collect())
}
