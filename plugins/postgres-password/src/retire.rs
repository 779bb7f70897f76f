//! Switching a role's login off and on, and ending its password. A role that another generation is in is left alone, and
//! so is one of which it cannot be known that this generation is in it.

use crate::calls::Calls;
use crate::names::{self, OFF, ON, SWITCHED};
use crate::observe::{not_ours, prove_ours};
use crate::settings::{Settings, Strategy};
use keybaton_rotator::{Context, Facts, Failure, Result, Target};

fn fact(name: &str, value: &dyn ToString) -> Facts {
    vec![(name.to_owned(), value.to_string())]
}

/// Which role the call is about, or that another generation has it.
enum Subject<'a> {
    Role(&'a str),
    TakenOver(Facts),
}

fn subject<'a>(ctx: &Context, target: &'a Target<Settings>) -> Result<Subject<'a>> {
    let role = names::role_of(ctx, target)?;
    Ok(match names::taken_over(ctx, target, role) {
        Some(by) => Subject::TakenOver(fact("superseded-by", &by)),
        None => Subject::Role(role),
    })
}

/// With one role, switching off what was overwritten means nothing, and the profile says so.
fn softly(target: &Target<Settings>, operation: &str) -> Result<()> {
    match target.settings.strategy {
        Strategy::One { .. } => Err(Failure::unsupported(operation)),
        Strategy::Turns { .. } => Ok(()),
    }
}

pub(crate) fn disable(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    softly(target, "disable")?;
    let role = match subject(ctx, target)? {
        Subject::Role(role) => role,
        Subject::TakenOver(facts) => return Ok(facts),
    };
    let calls = Calls::new(&target.settings);
    match calls.role(role)? {
        None => Ok(fact("absent", &role)),
        // A sleeping role that it never got into is somebody else's.
        Some(state) if !state.can_login && !was_ours(ctx, target) => Ok(fact("absent", &role)),
        Some(state) if !state.can_login => Ok(fact(SWITCHED, &OFF)),
        Some(_) => {
            prove_ours(ctx, target, calls, role)?;
            calls.forbid_login(role).map(|()| fact(SWITCHED, &OFF))
        }
    }
}

pub(crate) fn enable(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    softly(target, "enable")?;
    let role = match subject(ctx, target)? {
        Subject::Role(role) => role,
        Subject::TakenOver(facts) => {
            let message = format!("the role holds another generation's password ({})", facts[0].1);
            return Err(Failure::permanent("postgres.role-taken-over", message));
        }
    };
    let calls = Calls::new(&target.settings);
    match calls.role(role)? {
        None => Err(Failure::permanent("postgres.role-missing", format!("`{role}` no longer exists"))),
        Some(state) if state.can_login => Ok(fact(SWITCHED, &ON)),
        Some(_) => calls.allow_login(role).map(|()| fact(SWITCHED, &ON)),
    }
}

/// Ends the password, then the sessions that came in with it: they would outlive it without end otherwise. The role
/// itself stays, with its memberships and privileges, for its next turn.
pub(crate) fn destroy(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    let role = match subject(ctx, target)? {
        Subject::Role(role) => role,
        Subject::TakenOver(facts) => return Ok(facts),
    };
    let calls = Calls::new(&target.settings);
    let Some(state) = calls.role(role)? else { return Ok(fact("absent", &role)) };
    if state.can_login {
        refuse_switched_on(ctx, target, role)?;
        prove_ours(ctx, target, calls, role)?;
    } else if !was_ours(ctx, target) {
        return Ok(fact("absent", &role));
    }
    calls.erase_verifier(role)?;
    let open = calls.role(role)?.map_or(0, |state| state.sessions);
    let ended = if open > 0 { calls.end_sessions(role)? } else { 0 };
    Ok(vec![("ended-sessions".to_owned(), ended.to_string()), (SWITCHED.to_owned(), OFF.to_owned())])
}

/// Whether the generation was in its role at some time, as far as the host remembers.
fn was_ours(ctx: &Context, target: &Target<Settings>) -> bool {
    target.subject(ctx).is_ok_and(|generation| names::was_in(generation) || names::is_switched_off(generation))
}

/// Keybaton took the login away, and it is back: somebody needs it.
fn refuse_switched_on(ctx: &Context, target: &Target<Settings>, role: &str) -> Result<()> {
    if !target.subject(ctx).is_ok_and(names::is_switched_off) {
        return Ok(());
    }
    let why = format!("keybaton took the login of `{role}` away, and somebody gave it back");
    Err(not_ours(&why, role))
}
