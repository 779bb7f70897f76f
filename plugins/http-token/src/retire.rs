//! Deletes a token. The API has no way to switch one off and on again.

use crate::calls::Calls;
use crate::settings::Settings;
use keybaton_rotator::{Context, Facts, Failure, Result, Target};

pub(crate) fn destroy(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    let known = target.numbered(ctx.generation).and_then(|generation| generation.id.as_ref());
    // An imported token may be known by its value alone: which one to delete is then a person's to say.
    let id = ctx.id.as_ref().or(known).ok_or_else(|| {
        let message = format!("generation {} has no id, so it cannot be told which token to delete", ctx.generation);
        Failure::permanent("http-token.id-unknown", message)
    })?;
    let was_there = Calls::new(&target.settings).revoke(id)?;
    Ok(vec![(if was_there { "deleted" } else { "absent" }.to_owned(), id.clone())])
}
