//! Logs in with the password alone and asks the server who that is.

use crate::calls::{Calls, Login};
use crate::settings::Settings;
use crate::{PASSWORD, names};
use keybaton_rotator::{Context, Result, Target, Verdict};

pub(crate) fn run(ctx: &Context, target: &Target<Settings>) -> Result<Verdict> {
    let role = names::role_of(ctx, target)?;
    let password = target.secret(ctx.generation, PASSWORD)?;
    Ok(match Calls::new(&target.settings).login(role, password)? {
        Login::Refused(reason) => Verdict::Refused(reason),
        Login::Works { logged_in, .. } if logged_in != role => {
            Verdict::Refused(format!("the server takes this login for `{logged_in}`, not for `{role}`"))
        }
        Login::Works { acts_as, .. } => match target.settings.group() {
            // An imported generation was there before the group: it acts for itself until its role is next installed.
            Some(group) if acts_as != group && acts_as != role => {
                Verdict::Refused(format!("sessions of `{role}` act as `{acts_as}`, so it would own what they create"))
            }
            _ => Verdict::Works,
        },
    })
}
