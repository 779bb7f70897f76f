//! The suite that every plugin passes on a scripted target: it lists what is live, what is gone is success to end, and
//! what is somebody else's is left alone.
//!
//! A plugin's tests implement [`Double`] over their scripted server and call [`check`].

use super::{Host, context};
use crate::failure::FailureClass;
use crate::rotator::Rotator;
use crate::target::{Context, Role, State, Target};

/// With this ending a failure's code says that what is at the target cannot be told to be the generation: nothing was
/// touched.
pub const NOT_OURS: &str = ".not-ours";

/// The generation that the suite is about.
pub const OURS: u32 = 1;

/// A scripted target, shared with the test, with room for generation [`OURS`].
pub trait Double {
    /// The plugin under test.
    type Plugin: Rotator;

    /// A target with nothing of the secret there.
    fn empty() -> Self;

    /// Generation [`OURS`] is live there, as `install` left it.
    fn put_ours(&self);

    /// Somebody else's credential is live where generation [`OURS`] would be: in its slot, or under its id.
    fn put_somebody_elses(&self);

    /// The host by which the plugin reaches it.
    fn host(&self) -> Host;

    /// What the host knows: generation [`OURS`] in this role, with its handles. `installed`: and what `create` and
    /// `install` told of it; else `create` alone.
    fn known(&self, role: Role, installed: bool) -> Target<<Self::Plugin as Rotator>::Settings>;

    /// All that is there, as text: sessions, logins, values. Two equal texts say that nothing was touched.
    fn shown(&self) -> String;
}

/// Holds a plugin to what every plugin must do.
///
/// # Panics
///
/// At the first sentence of the contract that does not hold.
pub fn check<D: Double>() {
    what_is_live_is_listed::<D>();
    what_is_gone_is_success_to_end::<D>();
    what_is_somebody_elses_is_left_alone::<D>();
}

fn subject<D: Double>(double: &D, role: Role, installed: bool) -> (Context, Target<<D::Plugin as Rotator>::Settings>) {
    let target = double.known(role, installed);
    let id = target.numbered(OURS).and_then(|generation| generation.id.clone());
    (Context { id, ..context(OURS) }, target)
}

fn what_is_live_is_listed<D: Double>() {
    let seen = |double: &D, role| {
        let (ctx, target) = subject(double, role, true);
        let (observed, _) = double.host().run("observe", || D::Plugin::observe(&ctx, &target));
        let active = observed.expect("the target can be asked").generations;
        active
            .into_iter()
            .filter(|generation| generation.state == State::Active)
            .map(|it| it.number)
            .collect::<Vec<_>>()
    };
    for role in [Role::Pending, Role::Current, Role::Previous, Role::Retiring] {
        let double = D::empty();
        assert_eq!(seen(&double, role), [], "nothing is there, and something is listed");
        double.put_ours();
        assert_eq!(seen(&double, role), [Some(OURS)], "a live generation is left out of `observe`, as {}", role.name());
        let double = D::empty();
        double.put_somebody_elses();
        assert_eq!(
            seen(&double, role),
            [None],
            "somebody else's is not listed, or is taken for ours, as {}",
            role.name()
        );
    }
}

fn what_is_gone_is_success_to_end<D: Double>() {
    for role in [Role::Pending, Role::Current, Role::Previous, Role::Retiring] {
        for step in ["disable", "destroy"] {
            let double = D::empty();
            if let Err(failure) = end(&double, step, role, true) {
                assert_eq!(failure.class(), FailureClass::Unsupported, "{step} of what is gone, as {}", role.name());
            }
        }
    }
}

/// A disable, a destroy, and the destroy that a rollback is.
fn what_is_somebody_elses_is_left_alone<D: Double>() {
    for role in [Role::Pending, Role::Current, Role::Previous, Role::Retiring] {
        for installed in [false, true] {
            for step in ["disable", "destroy"] {
                let double = D::empty();
                double.put_somebody_elses();
                let before = double.shown();
                let answer = end(&double, step, role, installed);
                let what = format!("{step} as {}, installed: {installed}", role.name());
                assert_eq!(double.shown(), before, "{what}: somebody else's credential was touched");
                if let Err(failure) = answer {
                    let said = failure.class() == FailureClass::Permanent && failure.code().ends_with(NOT_OURS);
                    assert!(said || failure.class() == FailureClass::Unsupported, "{what}: {failure}");
                }
            }
        }
    }
}

fn end<D: Double>(double: &D, step: &str, role: Role, installed: bool) -> crate::failure::Result<crate::target::Facts> {
    let (ctx, target) = subject(double, role, installed);
    let (answer, _) = double.host().run(step, || match step {
        "disable" => D::Plugin::disable(&ctx, &target),
        _ => D::Plugin::destroy(&ctx, &target),
    });
    answer
}
