//! Switching a role's login off and on, and ending its password. A role that another generation is in is left alone.

use crate::calls::Calls;
use crate::names;
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
        Some(state) if !state.can_login => Ok(fact("already", &"nologin")),
        Some(_) => calls.forbid_login(role).map(|()| fact("nologin", &role)),
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
        Some(state) if state.can_login => Ok(fact("already", &"login")),
        Some(_) => calls.allow_login(role).map(|()| fact("login", &role)),
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
    if calls.role(role)?.is_none() {
        return Ok(fact("absent", &role));
    }
    calls.erase_verifier(role)?;
    let open = calls.role(role)?.map_or(0, |state| state.sessions);
    let ended = if open > 0 { calls.end_sessions(role)? } else { 0 };
    Ok(fact("ended-sessions", &ended))
}
