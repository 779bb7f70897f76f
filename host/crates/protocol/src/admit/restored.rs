//! Requests about restored secrets: go on, compare once more, or accept that what the journal knows is lost.

use super::{Answer, Refusal};
use crate::comparison::{Outcome, compare};
use crate::event::Event;
use crate::generation::Credential;
use crate::guard::course::may_revert;
use crate::ids::{Author, Generation};
use crate::state::{Secret, Stand};

/// Compare now, whatever pause an attempt has left. Nothing where none is waited for: it is being compared.
pub(super) fn again(secret: &Secret, author: &Author) -> Vec<Event> {
    if secret.efforts().is_empty() { Vec::new() } else { vec![Event::Released { author: author.clone() }] }
}

/// The restored secret goes on with what works at its target. Nothing ends by that.
pub(super) fn reconcile(secret: &Secret, author: &Author, next: Generation) -> Answer {
    let Some(compared) = compare(secret, None) else {
        return Err(Refusal::new("held", "it was not restored", "there is nothing to compare"));
    };
    if let Err(why) = secret.may_reconcile() {
        return Err(Refusal::new("held", format!("{why} ({})", compared.outcome), compared.advice(secret.name())));
    }
    if compared.outcome == Outcome::Comparing {
        return Err(Refusal::new(
            "held",
            "not every credential has been tried since the restore",
            compared.advice(secret.name()),
        ));
    }
    let next = next.max(secret.next_generation());
    let mut events = vec![Event::Reconciled { author: author.clone(), next }];
    events.extend(way_on(secret, author));
    Ok(events)
}

/// What becomes of the rotation in whose middle the backup was taken. Pending that works goes on to become current; one
/// that was never minted, or is refused, is given back, on what consumers say from now on. Where current is refused and
/// previous works, somebody had put previous back.
fn way_on(secret: &Secret, author: &Author) -> Option<Event> {
    let author = Some(author.clone());
    match secret.stand() {
        Stand::Prepare if secret.works_since_restore(secret.pending()) => None,
        Stand::Prepare => {
            let minted = secret.pending().and_then(|it| secret.generations().get(&it)).is_some_and(Credential::known);
            let why = if minted { "and pending does not work at the target" } else { "before pending was made" };
            Some(Event::RollingBack { reason: format!("restored from a backup of its prepare, {why}"), author })
        }
        Stand::Commit
            if !secret.works_since_restore(secret.current()) && secret.works_since_restore(secret.previous()) =>
        {
            let reason = "restored from a backup: the previous credential is the one that works".to_owned();
            may_revert(secret).is_ok().then_some(Event::Reverting { reason, author })
        }
        Stand::Commit | Stand::Idle | Stand::RollingBack | Stand::Reverting => None,
    }
}

/// Nothing that the journal knows is current any more. What is at the target stays there, untouched.
pub(super) fn accept_lost(secret: &Secret, reason: &str, author: &Author, next: Generation) -> Answer {
    if reason.is_empty() {
        return Err(Refusal::new("invalid", "to accept a loss needs a reason", "say how it is known"));
    }
    if let Err(why) = secret.may_accept_lost() {
        let instead =
            compare(secret, None).map_or_else(|| "look at its status".to_owned(), |it| it.advice(secret.name()));
        return Err(Refusal::new("conflict", why.to_string(), instead));
    }
    let next = next.max(secret.next_generation());
    Ok(vec![Event::Lost { reason: reason.to_owned(), author: author.clone(), next }])
}
