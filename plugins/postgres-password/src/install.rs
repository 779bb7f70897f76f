//! Makes the password valid. With two roles in turn, both are first brought into the group that owns the objects.

use crate::PASSWORD;
use crate::calls::Calls;
use crate::names::{self, INSTALLED};
use crate::settings::Settings;
use keybaton_rotator::{Context, Facts, Failure, Result, Target};

pub(crate) fn run(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
    let role = names::role_of(ctx, target)?;
    let password = target.secret(ctx.generation, PASSWORD)?;
    let calls = Calls::new(&target.settings);
    if calls.role(role)?.is_none() {
        calls.create_role(role)?;
    }
    if let Some(group) = target.settings.group() {
        for member in target.settings.roles() {
            bring_into_group(calls, member, group)?;
        }
    }
    calls.set_verifier(role, password)?;
    Ok(vec![(INSTALLED.to_owned(), role.to_owned())])
}

/// Membership comes before ownership: a role that is in use must not lose its objects for a moment.
fn bring_into_group(calls: Calls<'_>, role: &str, group: &str) -> Result<()> {
    let Some(membership) = calls.membership(role, group)? else {
        return match calls.role(group)? {
            // The other of the two does not exist yet; its own install makes it.
            Some(_) => Ok(()),
            None => Err(Failure::permanent(
                "postgres.group-missing",
                format!("the group `{group}` does not exist: CREATE ROLE \"{group}\" NOLOGIN, then try again"),
            )),
        };
    };
    if !membership.is_member {
        calls.grant_group(group, role)?;
    }
    if !membership.acts_as_group {
        calls.act_as_group(role, group)?;
    }
    let (owned_here, _) = calls.owned(role)?;
    if owned_here > 0 {
        calls.give_to_group(role, group)?;
    }
    Ok(())
}
