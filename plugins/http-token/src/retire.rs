//! Deletes a token. The API has no way to switch one off and on again.

use crate::calls::Calls;
use crate::names;
use crate::settings::Settings;
use keybaton_rotator::{Context, Facts, Failure, Generation, Result, Role, Target};

pub(crate) fn destroy(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    let subject = target.numbered(ctx.generation);
    let known = subject.and_then(|generation| generation.id.as_ref());
    // An imported token may be known by its value alone: which one to delete is then a person's to say.
    let id = ctx.id.as_ref().or(known).ok_or_else(|| {
        let message = format!("generation {} has no id, so it cannot be told which token to delete", ctx.generation);
        Failure::permanent("http-token.id-unknown", message)
    })?;
    let calls = Calls::new(&target.settings);
    if let (own, Some(minted)) = names::parts(id) {
        return destroy_apart(calls, target, id, own, minted);
    }
    if reused(ctx, target, id) || !still_ours(calls, target, subject, id)? {
        return Ok(vec![("absent".to_owned(), id.clone())]);
    }
    let was_there = calls.revoke(id)?;
    Ok(vec![(if was_there { "deleted" } else { "absent" }.to_owned(), id.clone())])
}

/// A token of the host's that nobody knows by a generation, and that has got the id of one: only if it is still that one.
fn destroy_apart(calls: Calls<'_>, target: &Target<Settings>, name: &str, own: &str, minted: u64) -> Result<Facts> {
    let tokens = calls.list()?.tokens;
    let there = tokens.iter().find(|token| token.id == own && token.created_unix.unwrap_or_default() == minted);
    let ours = |token| target.generations.iter().any(|known| names::is_of(&target.settings, known, token));
    let deleted = match there.filter(|token| !ours(token)) {
        Some(_) => calls.revoke(own)?,
        None => false,
    };
    Ok(vec![(if deleted { "deleted" } else { "absent" }.to_owned(), name.to_owned())])
}

/// Some APIs give the id of a deleted token to the next one: then it is a newer generation's.
fn reused(ctx: &Context, target: &Target<Settings>, id: &String) -> bool {
    let lives = |generation: &Generation| generation.is(Role::Pending) || generation.is(Role::Current);
    let other = |generation: &Generation| generation.number != Some(ctx.generation);
    target.generations.iter().any(|known| other(known) && lives(known) && known.id.as_ref() == Some(id))
}

/// Where more than the id is known of our token, one that only has its id is somebody else's.
fn still_ours(calls: Calls<'_>, target: &Target<Settings>, subject: Option<&Generation>, id: &str) -> Result<bool> {
    let Some(subject) = subject.filter(|subject| names::is_told(&target.settings, subject)) else { return Ok(true) };
    let named = Generation { id: Some(id.to_owned()), ..subject.clone() };
    Ok(calls.list()?.tokens.iter().any(|token| names::is_of(&target.settings, &named, token)))
}
