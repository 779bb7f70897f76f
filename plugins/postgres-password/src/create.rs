//! Has the host make the password of the pending generation. Changes nothing at the server.

use crate::calls::Calls;
use crate::settings::Settings;
use crate::{PASSWORD, USERNAME, names, observe};
use keybaton_rotator::keygen::Password;
use keybaton_rotator::{Context, Created, Generation, Result, Target};

/// Letters and digits: 190 bits, and nothing that a connection string has to escape.
const LENGTH: u32 = 32;

pub(crate) fn run(ctx: &Context, target: &Target<Settings>) -> Result<Created> {
    let role = names::role_of(ctx, target)?;
    if observe::may_be_strange(target, role) {
        let calls = Calls::new(&target.settings);
        observe::refuse_strangers(ctx, target, calls, role, calls.role(role)?.as_ref())?;
    }
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
