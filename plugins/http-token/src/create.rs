//! Has the API mint the pending token. Of several attempts at one operation at most one token remains.

use crate::calls::{Calls, Listed};
use crate::names::{self, CREATED, OPERATION};
use crate::settings::Settings;
use crate::{TOKEN, TOKEN_ID};
use keybaton_rotator::{Context, Created, Failure, Generation, Result, Target, log};

pub(crate) fn run(ctx: &Context, target: &Target<Settings>) -> Result<Created> {
    let calls = Calls::new(&target.settings);
    let marker = names::marker(&ctx.operation);
    delete_leftovers(calls, target, &marker)?;
    let minted = calls.mint(&marker)?;
    let id = match minted.id {
        Some(id) => id,
        None => find_by_marker(calls, target, &marker)?,
    };
    let created = match minted.created_unix {
        Some(created) => Some(created),
        // Without a marker the time is all that tells it from the next token of its id.
        None if !target.settings.is_marked() && target.settings.list.created.is_some() => {
            calls.list()?.tokens.into_iter().find(|token| token.id == id).and_then(|token| token.created_unix)
        }
        None => None,
    };
    let mut facts = vec![(OPERATION.to_owned(), ctx.operation.clone())];
    facts.extend(created.map(|created| (CREATED.to_owned(), created.to_string())));
    Ok(Created {
        generation: Generation {
            number: Some(ctx.generation),
            id: Some(id.clone()),
            expires_unix: minted.expires_unix,
            attributes: vec![(TOKEN_ID.to_owned(), id)],
            facts,
            ..Generation::default()
        },
        secrets: vec![(TOKEN.to_owned(), minted.token)],
    })
}

fn marked(target: &Target<Settings>, token: &Listed, marker: &str) -> bool {
    let known = target.generations.iter().any(|generation| names::is_of(&target.settings, generation, token));
    !known && token.note.as_ref().is_some_and(|note| note.contains(marker))
}

/// A token that an earlier attempt minted and whose answer was lost: nobody ever held it.
fn delete_leftovers(calls: Calls<'_>, target: &Target<Settings>, marker: &str) -> Result<()> {
    if target.settings.list.note.is_none() {
        return Ok(());
    }
    for token in calls.list()?.tokens.iter().filter(|token| marked(target, token, marker)) {
        log::emit(log::Level::Warn, "deleting the token of an attempt whose answer was lost", &[("id", &token.id)]);
        calls.revoke(&token.id)?;
    }
    Ok(())
}

fn find_by_marker(calls: Calls<'_>, target: &Target<Settings>, marker: &str) -> Result<String> {
    let tokens = calls.list()?.tokens;
    let mut ours = tokens.into_iter().filter(|token| marked(target, token, marker));
    match (ours.next(), ours.next()) {
        (Some(only), None) => Ok(only.id),
        _ => Err(Failure::permanent(
            "http-token.id-unknown",
            format!(
                "a token was minted, but its id is neither at `{}` of the answer nor in the list; look for a token \
                 with the note `{marker}` and delete it",
                target.settings.mint.id
            ),
        )),
    }
}
