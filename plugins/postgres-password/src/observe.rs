//! What is live at the server: the roles that can log in, and which generation's password each has.

use crate::PASSWORD;
use crate::calls::{Calls, Login, RoleState};
use crate::names::{self, INSTALLED};
use crate::settings::Settings;
use keybaton_rotator::{Generation, Observed, Result, Role, State, Target};

pub(crate) fn run(target: &Target<Settings>) -> Result<Observed> {
    let calls = Calls::new(&target.settings);
    let mut observed = Observed::default();
    for role in target.settings.roles() {
        let Some(state) = calls.role(role)? else { continue };
        observed.target_now_unix = state.now_unix;
        observed.generations.extend(live(calls, target, role, &state)?);
    }
    Ok(observed)
}

fn live(calls: Calls<'_>, target: &Target<Settings>, role: &str, state: &RoleState) -> Result<Option<Generation>> {
    let number = if state.can_login { occupant(calls, target, role)? } else { sleeping(target, role) };
    if number.is_none() && !state.can_login {
        return Ok(None);
    }
    let in_turn = target.settings.group().is_some();
    let known = number.and_then(|number| target.numbered(number)?.id.clone());
    Ok(Some(Generation {
        number,
        // A password that none of the known generations has: somebody else's, so it has no number.
        id: known.or_else(|| Some(names::id(role, number.unwrap_or_default()))),
        slot: in_turn.then(|| role.to_owned()),
        state: if state.can_login { State::Active } else { State::Inactive },
        expires_unix: state.expires_unix,
        // Sessions of one role cannot be told apart by the password they came in with.
        live_uses: in_turn.then_some(state.sessions),
        ..Generation::default()
    }))
}

/// Which generation's password the role has. One known generation is it; among several, the login that works tells.
fn occupant(calls: Calls<'_>, target: &Target<Settings>, role: &str) -> Result<Option<u32>> {
    let known = names::within(target, role);
    if let [(number, _)] = known[..] {
        return Ok(Some(number));
    }
    let mut untried = None;
    for (number, generation) in known {
        let Ok(password) = target.secret(number, PASSWORD) else {
            let was_in = generation.fact(INSTALLED).is_some() || generation.is(Role::Current);
            untried = untried.or(was_in.then_some(number));
            continue;
        };
        if matches!(calls.login(role, password)?, Login::Works { .. }) {
            return Ok(Some(number));
        }
    }
    Ok(untried)
}

/// The generation of a role that cannot log in: one that was in it and has not been destroyed.
fn sleeping(target: &Target<Settings>, role: &str) -> Option<u32> {
    let was_in = |generation: &Generation| !generation.is(Role::Pending) || generation.fact(INSTALLED).is_some();
    names::within(target, role).into_iter().find(|(_, generation)| was_in(generation)).map(|(number, _)| number)
}
