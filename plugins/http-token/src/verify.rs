//! Calls the API with the token alone.

use crate::calls::{Calls, Trial};
use crate::settings::Settings;
use crate::{TOKEN, names};
use keybaton_rotator::{Context, Result, Target, Verdict};

pub(crate) fn run(ctx: &Context, target: &Target<Settings>) -> Result<Verdict> {
    let settings = &target.settings;
    let token = target.secret(ctx.generation, TOKEN)?;
    Ok(match (Calls::new(settings).try_out(token)?, &settings.verify.is) {
        (Trial::Refused(status), _) => Verdict::Refused(format!("the API answered with {status}")),
        (Trial::Works(Some(subject)), Some(is)) => {
            let wanted = names::text(is, &settings.values);
            if subject == wanted {
                Verdict::Works
            } else {
                Verdict::Refused(format!("the API takes the token for `{subject}`'s, not `{wanted}`'s"))
            }
        }
        (Trial::Works(_), _) => Verdict::Works,
    })
}
