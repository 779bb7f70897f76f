//! Which generation is in which role. A role is a slot: its next password destroys the one before.

use crate::USERNAME;
use crate::settings::{Settings, Strategy};
use keybaton_rotator::{Context, Failure, Generation, Result, Role, Target};

/// The fact that `install` leaves, and whose absence tells that a generation never was in its role.
pub(crate) const INSTALLED: &str = "installed";
/// The fact that `disable`, `enable` and `destroy` leave: whether keybaton itself took the role's login away.
pub(crate) const SWITCHED: &str = "switched";
pub(crate) const OFF: &str = "off";
pub(crate) const ON: &str = "on";

/// The role of the generation that the call is about.
pub(crate) fn role_of<'a>(ctx: &Context, target: &'a Target<Settings>) -> Result<&'a str> {
    match &target.settings.strategy {
        Strategy::One { role } => Ok(role),
        Strategy::Turns { roles, .. } => {
            let slot = slot(target.subject(ctx)?);
            roles.iter().find(|role| Some(role.as_str()) == slot).map(String::as_str).ok_or_else(|| {
                let message = format!(
                    "generation {} is in {}, which is none of the roles {}",
                    ctx.generation,
                    slot.map_or_else(|| "no role".to_owned(), |slot| format!("role `{slot}`")),
                    roles.join(", "),
                );
                Failure::permanent("postgres.role-not-declared", message)
            })
        }
    }
}

/// A credential that was imported may be known by its user name alone.
fn slot(generation: &Generation) -> Option<&str> {
    generation.slot.as_deref().or_else(|| generation.attribute(USERNAME))
}

/// Numbered generations in this role, the newest first.
pub(crate) fn within<'a>(target: &'a Target<Settings>, role: &str) -> Vec<(u32, &'a Generation)> {
    let one = matches!(target.settings.strategy, Strategy::One { .. });
    let mut known: Vec<(u32, &Generation)> = Vec::new();
    for generation in &target.generations {
        let here = slot(generation).map_or(one, |slot| slot == role);
        if let Some(number) = generation.number.filter(|_| here) {
            known.insert(known.partition_point(|(other, _)| *other > number), (number, generation));
        }
    }
    known
}

/// Whether a generation was in its role at some time, as far as the host remembers.
pub(crate) fn was_in(generation: &Generation) -> bool {
    !generation.is(Role::Pending) || generation.fact(INSTALLED).is_some()
}

/// Whether keybaton itself took the login of its role away.
pub(crate) fn is_switched_off(generation: &Generation) -> bool {
    generation.fact(SWITCHED) == Some(OFF)
}

/// Another generation that the role belongs to now: what the call wants to end is no longer in it.
pub(crate) fn taken_over(ctx: &Context, target: &Target<Settings>, role: &str) -> Option<u32> {
    let owns = |(number, generation): &(u32, &Generation)| {
        let newer = *number > ctx.generation && generation.is(Role::Pending) && generation.fact(INSTALLED).is_some();
        *number != ctx.generation && (generation.is(Role::Current) || newer)
    };
    within(target, role).into_iter().find(owns).map(|(number, _)| number)
}

/// The server has no names for passwords.
pub(crate) fn id(role: &str, number: u32) -> String {
    format!("{role}#{number}")
}
