//! What an operator should put right before a rotation starts. Changes nothing; each rule is a function of its own.

use crate::calls::{AdminRights, Calls, RoleState};
use crate::observe::Occupant;
use crate::settings::{Existing, Settings};
use crate::{names, observe};
use keybaton_rotator::{Finding, Result, Target};

/// From this `server_version_num` on, altering a role takes the ADMIN option on it (release notes of PostgreSQL 16).
const ADMIN_OPTION_SINCE: i64 = 160_000;

pub(crate) fn run(target: &Target<Settings>) -> Result<Vec<Finding>> {
    let settings = &target.settings;
    let calls = Calls::new(settings);
    let admin = calls.admin_rights()?;
    let mut findings = Vec::new();
    findings.extend(admin_may_alter(&admin));
    findings.extend(admin_may_signal(&admin, settings));
    for role in settings.roles() {
        let state = calls.role(role)?;
        findings.extend(as_it_was_left(calls, target, role, state.as_ref())?);
        let Some(state) = state else { continue };
        findings.extend(within_reach(calls, &admin, role, &state)?);
        findings.extend(not_expired(role, &state));
        findings.extend(not_somebody_elses(target, role, &state));
        if let Some(group) = settings.group() {
            findings.extend(privileges_are_the_groups(calls, role, group)?);
            findings.extend(owned_elsewhere(calls, &admin, role, group)?);
        }
    }
    if let Some(group) = settings.group() {
        findings.extend(group_is_there(calls, &admin, group)?);
    }
    Ok(findings)
}

fn admin_may_alter(admin: &AdminRights) -> Option<Finding> {
    let message = "the connection's role may not alter roles: ALTER ROLE … CREATEROLE, or connect as a superuser";
    (!admin.superuser && !admin.createrole).then(|| Finding::fatal("/connection", message))
}

fn admin_may_signal(admin: &AdminRights, settings: &Settings) -> Option<Finding> {
    let message = "the connection's role may not end sessions, so destroying a role's password will fail while sessions \
                   of it are open: GRANT pg_signal_backend to it";
    (settings.group().is_some() && !admin.superuser && !admin.may_signal)
        .then(|| Finding::warning("/connection", message))
}

fn within_reach(calls: Calls<'_>, admin: &AdminRights, role: &str, state: &RoleState) -> Result<Option<Finding>> {
    if admin.superuser {
        return Ok(None);
    }
    if state.superuser {
        let message = format!("`{role}` is a superuser, which only a superuser may alter");
        return Ok(Some(Finding::fatal("/connection", message)));
    }
    if admin.version < ADMIN_OPTION_SINCE || calls.has_admin_option(role)? {
        return Ok(None);
    }
    let message = format!("the connection's role may not alter `{role}`: GRANT \"{role}\" to it WITH ADMIN OPTION");
    Ok(Some(Finding::fatal("/connection", message)))
}

fn not_expired(role: &str, state: &RoleState) -> Option<Finding> {
    let (expires, now) = (state.expires_unix?, state.now_unix?);
    Some(if expires <= now {
        Finding::fatal("", format!("`{role}` is past its VALID UNTIL: no password of it works; set it to 'infinity'"))
    } else {
        let message = format!("`{role}` has a VALID UNTIL: no password of it works after that, rotated or not");
        Finding::warning("", message)
    })
}

/// What somebody did to the credential in use since: it is asked about, not undone.
fn as_it_was_left(
    calls: Calls<'_>,
    target: &Target<Settings>,
    role: &str,
    state: Option<&RoleState>,
) -> Result<Option<Finding>> {
    let Some((number, _)) = observe::expected(target, role) else { return Ok(None) };
    let (what, undo) = match state {
        None => ("does not exist any more", "create it again, with what it owned and was granted".to_owned()),
        Some(state) if !state.can_login => ("cannot log in any more", format!("ALTER ROLE \"{role}\" LOGIN")),
        Some(_) => match observe::occupant(calls, target, role)? {
            Occupant::Proven(found) | Occupant::Unproven(found) if found == number => return Ok(None),
            _ => ("refuses the password in use", "import the one that it has now".to_owned()),
        },
    };
    let message = format!("`{role}` {what}, and it was not keybaton that changed it");
    Ok(Some(match target.settings.existing {
        Existing::Replace => Finding::warning("", format!("{message}; the next password replaces what is there")),
        Existing::Refuse => Finding::fatal(
            "",
            format!("{message}: {undo}; or set `existing: replace`, and rotate: it gets a new password"),
        ),
    }))
}

fn not_somebody_elses(target: &Target<Settings>, role: &str, state: &RoleState) -> Option<Finding> {
    let was_ours = names::within(target, role).iter().any(|(_, generation)| names::was_in(generation));
    let unknown = state.can_login && !was_ours;
    (unknown && target.settings.existing == Existing::Refuse).then(|| {
        let message = format!(
            "`{role}` can log in with a password that keybaton does not know and will not overwrite: import it, forbid \
             its login, or set `existing: replace`"
        );
        Finding::warning("", message)
    })
}

fn privileges_are_the_groups(calls: Calls<'_>, role: &str, group: &str) -> Result<Option<Finding>> {
    let own = calls.own_privileges(role, group)?;
    let message = || {
        format!(
            "`{role}` holds privileges that `{group}` does not, so the other role lacks them; GRANT them to \
                 `{group}`: {}",
            own.join(", ")
        )
    };
    Ok((!own.is_empty()).then(|| Finding::fatal("/group", message())))
}

fn owned_elsewhere(calls: Calls<'_>, admin: &AdminRights, role: &str, group: &str) -> Result<Vec<Finding>> {
    let (here, elsewhere) = calls.owned(role)?;
    let mut findings = Vec::new();
    if here > 0 && !admin.superuser {
        findings.push(Finding::warning(
            "/group",
            format!(
                "`{role}` owns {here} objects, which install gives to `{group}`: the connection's role must be a \
                     member of both"
            ),
        ));
    }
    if elsewhere > 0 {
        findings.push(Finding::warning(
            "/group",
            format!(
                "`{role}` owns {elsewhere} objects in other databases, out of this connection's reach: REASSIGN \
                     OWNED BY \"{role}\" TO \"{group}\" there"
            ),
        ));
    }
    Ok(findings)
}

fn group_is_there(calls: Calls<'_>, admin: &AdminRights, group: &str) -> Result<Option<Finding>> {
    let Some(state) = calls.role(group)? else {
        let message = format!(
            "the group `{group}` does not exist: CREATE ROLE \"{group}\" NOLOGIN, and grant it what both roles need"
        );
        return Ok(Some(Finding::fatal("/group", message)));
    };
    if state.superuser {
        return Ok(Some(Finding::fatal(
            "/group",
            format!("the group `{group}` is a superuser, and so would both roles be"),
        )));
    }
    if state.can_login {
        return Ok(Some(Finding::warning(
            "/group",
            format!("the group `{group}` can log in itself: ALTER ROLE \"{group}\" NOLOGIN"),
        )));
    }
    within_reach(calls, admin, group, &state)
}
