//! Makes the password valid. With two roles in turn, both are first brought into the group that owns the objects.

use crate::calls::Calls;
use crate::names::{self, INSTALLED};
use crate::settings::Settings;
use crate::{PASSWORD, observe};
use keybaton_rotator::{Context, Facts, Failure, Result, Target};

pub(crate) fn run(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    let role = names::role_of(ctx, target)?;
    let password = target.secret(ctx.generation, PASSWORD)?;
    let calls = Calls::new(&target.settings);
    let state = calls.role(role)?;
    observe::refuse_strangers(ctx, target, calls, role, state.as_ref())?;
    if let Some(group) = target.settings.group() {
        group_is_there(calls, group)?;
    }
    if state.is_none() {
        calls.create_role(role)?;
    }
    if let Some(group) = target.settings.group() {
        share(calls, target.settings.roles(), role, group)?;
    }
    calls.set_verifier(role, password)?;
    Ok(vec![(INSTALLED.to_owned(), role.to_owned())])
}

fn group_is_there(calls: Calls<'_>, group: &str) -> Result<()> {
    if calls.role(group)?.is_some() {
        return Ok(());
    }
    let message = format!("the group `{group}` does not exist: CREATE ROLE \"{group}\" NOLOGIN, then try again");
    Err(Failure::permanent("postgres.group-missing", message))
}

/// Has the group own what the roles own, and new sessions of them act as it. The role that is being installed comes
/// first, and how sessions of the other one behave is changed last: what can fail has been tried by then.
fn share(calls: Calls<'_>, roles: &[String], installed: &str, group: &str) -> Result<()> {
    let others = roles.iter().map(String::as_str).filter(|role| *role != installed);
    let mut acting = Vec::new();
    for role in std::iter::once(installed).chain(others) {
        // The other of the two may not exist yet; its own install makes it.
        let Some(membership) = calls.membership(role, group)? else { continue };
        // Membership comes before ownership: a role that is in use must not lose its objects for a moment.
        if !membership.is_member {
            calls.grant_group(group, role)?;
        }
        let (owned_here, _) = calls.owned(role)?;
        if owned_here > 0 {
            calls.give_to_group(role, group)?;
        }
        if !membership.acts_as_group {
            acting.push(role);
        }
    }
    acting.into_iter().try_for_each(|role| calls.act_as_group(role, group))
}
