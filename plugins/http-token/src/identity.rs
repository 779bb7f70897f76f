//! Whether a listed token is the one that a generation stands for. An id alone does not say so: some APIs give the id of
//! a deleted token to the next one. Pure.

use crate::calls::Listed;
use crate::names;
use crate::settings::Settings;
use keybaton_rotator::Generation;

/// The fact that names the operation which minted a token.
pub(crate) const OPERATION: &str = "operation";
/// The fact that says when the API says it was minted, in seconds since the Unix epoch.
pub(crate) const CREATED: &str = "created";

/// APIs keep times more or less finely, in their answers and in their lists.
const SAME_SECOND_S: u64 = 1;

/// Whether it is known by more than its id.
pub(crate) fn is_told(settings: &Settings, generation: &Generation) -> bool {
    (settings.is_marked() && generation.fact(OPERATION).is_some())
        || (settings.list.created.is_some() && created(generation).is_some())
}

/// The same id, and nothing that speaks against it: neither another marker nor another time of minting.
pub(crate) fn is_of(settings: &Settings, generation: &Generation, token: &Listed) -> bool {
    let same_id = generation.id.as_ref() == Some(&token.id);
    let same_mark = match generation.fact(OPERATION).filter(|_| settings.is_marked()) {
        Some(operation) => token.note.as_ref().is_some_and(|note| note.contains(&names::marker(operation))),
        None => true,
    };
    let same_time = match (created(generation), token.created_unix) {
        (Some(ours), Some(theirs)) => ours.abs_diff(theirs) <= SAME_SECOND_S,
        _ => true,
    };
    same_id && same_mark && same_time
}

/// What stands between the id of a token that is not ours and the time of its minting.
const APART: &str = "#minted-";

/// How a token is named that has the id of one of ours and is another: by its time of minting too, so that nobody takes
/// it for ours who goes by names alone.
pub(crate) fn apart(token: &Listed) -> String {
    format!("{}{APART}{}", token.id, token.created_unix.unwrap_or_default())
}

/// The API's own id in a name, and the time of minting where that is a part of it.
pub(crate) fn parts(name: &str) -> (&str, Option<u64>) {
    let told = name.rsplit_once(APART).and_then(|(id, created)| Some((id, created.parse().ok()?)));
    told.map_or((name, None), |(id, created)| (id, Some(created)))
}

fn created(generation: &Generation) -> Option<u64> {
    generation.fact(CREATED)?.parse().ok()
}
