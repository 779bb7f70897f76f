//! Has the host make the password of the pending generation. Changes nothing at the server.

use crate::calls::Calls;
use crate::settings::{Existing, Settings};
use crate::{PASSWORD, USERNAME, names};
use keybaton_rotator::keygen::Password;
use keybaton_rotator::{Context, Created, Failure, Generation, Result, Target};

/// Letters and digits: 190 bits, and nothing that a connection string has to escape.
const LENGTH: u32 = 32;

pub(crate) fn run(ctx: &Context, target: &Target<Settings>) -> Result<Created> {
    let role = names::role_of(ctx, target)?;
    refuse_somebody_elses(ctx, target, role)?;
    Ok(Created {
        generation: Generation {
            number: Some(ctx.generation),
            id: Some(names::id(role, ctx.generation)),
            slot: target.settings.group().is_some().then(|| role.to_owned()),
            attributes: vec![(USERNAME.to_owned(), role.to_owned())],
            ..Generation::default()
        },
        secrets: vec![(PASSWORD.to_owned(), Password::new(LENGTH).generate()?)],
    })
}

/// A role whose password somebody else set is in use by somebody: installing over it would lock them out.
fn refuse_somebody_elses(ctx: &Context, target: &Target<Settings>, role: &str) -> Result<()> {
    let known = names::within(target, role).into_iter().any(|(number, _)| number != ctx.generation);
    if known || target.settings.existing == Existing::TakeOver {
        return Ok(());
    }
    match Calls::new(&target.settings).role(role)? {
        Some(state) if state.can_login => Err(Failure::permanent(
            "postgres.role-in-use",
            format!(
                "`{role}` can log in with a password that keybaton does not know; nothing was changed. Import it, forbid \
                 its login, or set `existing: take-over`"
            ),
        )),
        _ => Ok(()),
    }
}
