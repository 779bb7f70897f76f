//! What is live at the server: the roles that can log in, and which generation's password each has. Told by logging in
//! with what the host holds, never guessed. Changes nothing.

use crate::calls::{Calls, Login, RoleState};
use crate::settings::{Existing, Settings};
use crate::{PASSWORD, names};
use keybaton_rotator::{Context, Failure, Generation, Observed, Result, Role, State, Target};

/// What the host is told where it cannot be known that a role has this generation's password. Nothing was touched.
pub(crate) const NOT_OURS: &str = "postgres.not-ours";
/// What it is told where a role that is to be written can log in with a password that nobody here knows.
const IN_USE: &str = "postgres.role-in-use";

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
    let number = if state.can_login { occupant(calls, target, role)?.number() } else { sleeping(target, role) };
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

/// The generation of a role that cannot log in: one that was in it and has not been destroyed.
fn sleeping(target: &Target<Settings>, role: &str) -> Option<u32> {
    let mut known = names::within(target, role).into_iter();
    known.find(|(_, generation)| names::was_in(generation)).map(|(number, _)| number)
}

/// Which generation's password a role has that can log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// Its password logs in.
    Proven(u32),
    /// It was in the role last, and the host does not hold its value: it is what is left, and nothing proves it.
    Unproven(u32),
    /// Somebody else's: no password that the host holds logs in.
    Stranger,
}

impl Occupant {
    /// The host's number of it.
    pub(crate) fn number(self) -> Option<u32> {
        match self {
            Self::Proven(number) | Self::Unproven(number) => Some(number),
            Self::Stranger => None,
        }
    }
}

/// Tries what is known of the role. What was in it comes first: a login that fails is in the server's log.
pub(crate) fn occupant(calls: Calls<'_>, target: &Target<Settings>, role: &str) -> Result<Occupant> {
    let mut known = names::within(target, role);
    known.sort_by_key(|(_, generation)| !names::was_in(generation));
    let mut unproven = None;
    for (number, generation) in known {
        let Ok(password) = target.secret(number, PASSWORD) else {
            unproven = unproven.or(names::was_in(generation).then_some(number));
            continue;
        };
        if lets_in(&calls.login(role, password)?, role) {
            return Ok(Occupant::Proven(number));
        }
    }
    Ok(unproven.map_or(Occupant::Stranger, Occupant::Unproven))
}

fn lets_in(login: &Login, role: &str) -> bool {
    matches!(login, Login::Works { logged_in, .. } if logged_in == role)
}

/// Succeeds where the role, which can log in, has the password of the generation that the call is about.
pub(crate) fn prove_ours(ctx: &Context, target: &Target<Settings>, calls: Calls<'_>, role: &str) -> Result<()> {
    let number = ctx.generation;
    let Ok(password) = target.secret(number, PASSWORD) else {
        let why = format!(
            "keybaton does not hold the password of generation {number}, so it cannot tell whether `{role}` has it"
        );
        return Err(not_ours(&why, role));
    };
    let why = match calls.login(role, password)? {
        login if lets_in(&login, role) => return Ok(()),
        Login::Refused(reason) => format!(
            "`{role}` can log in, but not with the password of generation {number} ({reason}): somebody else set another"
        ),
        Login::Works { logged_in, .. } => {
            format!("the server takes the login of generation {number} for `{logged_in}`, not for `{role}`")
        }
    };
    Err(not_ours(&why, role))
}

/// It cannot be known that the role is this generation's.
pub(crate) fn not_ours(why: &str, role: &str) -> Failure {
    let advice =
        format!("nothing was touched. Where nobody needs it any more, ALTER ROLE \"{role}\" NOLOGIN, then release");
    Failure::permanent(NOT_OURS, format!("{why}; {advice}"))
}

/// Whether a password that the role has may be one that nobody here knows, and may not be replaced then.
pub(crate) fn may_be_strange(target: &Target<Settings>, role: &str) -> bool {
    let was_ours = |(_, generation): &(u32, &Generation)| names::was_in(generation);
    target.settings.existing == Existing::Refuse && !names::within(target, role).iter().any(was_ours)
}

/// A role that can log in with a password that nobody here knows is in use by somebody: to write it would lock them out.
/// One that a known generation was in is looked at by `preflight`.
pub(crate) fn refuse_strangers(
    ctx: &Context,
    target: &Target<Settings>,
    calls: Calls<'_>,
    role: &str,
    state: Option<&RoleState>,
) -> Result<()> {
    if !state.is_some_and(|state| state.can_login) || !may_be_strange(target, role) {
        return Ok(());
    }
    // The answer to an earlier attempt at this install may have been lost.
    if let Ok(password) = target.secret(ctx.generation, PASSWORD)
        && lets_in(&calls.login(role, password)?, role)
    {
        return Ok(());
    }
    Err(Failure::permanent(
        IN_USE,
        format!(
            "`{role}` can log in with a password that keybaton does not know; nothing was changed. Import it, forbid its \
             login, or set `existing: replace`"
        ),
    ))
}

/// The generation in use that belongs into this role, unless keybaton itself has switched it off.
pub(crate) fn expected<'a>(target: &'a Target<Settings>, role: &str) -> Option<(u32, &'a Generation)> {
    let current = |(_, generation): &(u32, &Generation)| generation.is(Role::Current);
    let known = names::within(target, role).into_iter().find(current)?;
    (!names::is_switched_off(known.1)).then_some(known)
}
