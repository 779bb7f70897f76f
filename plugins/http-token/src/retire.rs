//! Deletes a token. The API has no way to switch one off and on again.

use crate::calls::Calls;
use crate::names;
use crate::settings::Settings;
use keybaton_rotator::{Context, Facts, Failure, Generation, Result, Role, Target};

/// The fact that names the operation which minted a token.
pub(crate) const OPERATION: &str = "operation";

pub(crate) fn destroy(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    let subject = target.numbered(ctx.generation);
    let known = subject.and_then(|generation| generation.id.as_ref());
    // An imported token may be known by its value alone: which one to delete is then a person's to say.
    let id = ctx.id.as_ref().or(known).ok_or_else(|| {
        let message = format!("generation {} has no id, so it cannot be told which token to delete", ctx.generation);
        Failure::permanent("http-token.id-unknown", message)
    })?;
    let calls = Calls::new(&target.settings);
    if reused(ctx, target, id) || !still_ours(calls, target, subject, id)? {
        return Ok(vec![("absent".to_owned(), id.clone())]);
    }
    let was_there = calls.revoke(id)?;
    Ok(vec![(if was_there { "deleted" } else { "absent" }.to_owned(), id.clone())])
}

/// Some APIs give the id of a deleted token to the next one: then it is a newer generation's.
fn reused(ctx: &Context, target: &Target<Settings>, id: &String) -> bool {
    let lives = |generation: &Generation| generation.is(Role::Pending) || generation.is(Role::Current);
    let other = |generation: &Generation| generation.number != Some(ctx.generation);
    target.generations.iter().any(|known| other(known) && lives(known) && known.id.as_ref() == Some(id))
}

/// Where the list shows the marker, a token without ours has our token's id and is somebody else's.
fn still_ours(calls: Calls<'_>, target: &Target<Settings>, subject: Option<&Generation>, id: &str) -> Result<bool> {
    let operation = subject.and_then(|generation| generation.fact(OPERATION));
    let (Some(operation), true) = (operation, target.settings.is_marked()) else { return Ok(true) };
    let marker = names::marker(operation);
    let listed = calls.list()?.tokens.into_iter().find(|token| token.id == id);
    Ok(listed.is_some_and(|token| token.note.is_some_and(|note| note.contains(&marker))))
}
