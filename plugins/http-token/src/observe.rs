//! What is live at the API: every token in its list.

use crate::calls::{Calls, Listed};
use crate::names;
use crate::settings::Settings;
use keybaton_rotator::{Generation, Observed, Result, State, Target};

pub(crate) fn run(target: &Target<Settings>) -> Result<Observed> {
    let listing = Calls::new(&target.settings).list()?;
    let now = listing.now_unix;
    Ok(Observed {
        target_now_unix: now,
        generations: listing.tokens.into_iter().map(|token| seen(target, token, now)).collect(),
    })
}

fn seen(target: &Target<Settings>, token: Listed, now_unix: Option<u64>) -> Generation {
    let known = target.generations.iter().find(|generation| names::is_of(&target.settings, generation, &token));
    let taken = target.generations.iter().any(|generation| generation.id.as_ref() == Some(&token.id));
    let id = if known.is_none() && taken { names::apart(&token) } else { token.id };
    let over = matches!((token.expires_unix, now_unix), (Some(expires), Some(now)) if expires <= now);
    Generation {
        number: known.and_then(|generation| generation.number),
        id: Some(id),
        state: if over { State::Inactive } else { State::Active },
        created_unix: token.created_unix,
        expires_unix: token.expires_unix,
        last_used_unix: token.last_used_unix,
        // The note tells whose it is: a marker of ours, or somebody's own words.
        facts: token.note.map(|note| ("note".to_owned(), note)).into_iter().collect(),
        ..Generation::default()
    }
}
