//! From the component's exports to a [`Rotator`]: converts, calls, converts back, and installs the panic hook.

use crate::answer::{Finding, Verdict};
use crate::bindings::exports::keybaton::rotator::rotator::{self as exports, Guest};
use crate::bindings::keybaton::rotator::{secrets, types};
use crate::failure::{Failure, FailureClass, Result};
use crate::panic;
use crate::rotator::Rotator;
use crate::secret::Secret;
use crate::target::{Context, Facts, Generation, State, Target, Value};
use std::marker::PhantomData;

/// The component's exports, by a rotator.
#[derive(Debug)]
pub struct Component<R>(PhantomData<R>);

fn settings<R: Rotator>(text: &str) -> Result<R::Settings> {
    serde_json::from_str(text)
        .map_err(|error| Failure::permanent("settings.invalid", format!("the settings do not parse: {error}")))
}

fn class(class: FailureClass) -> types::FailureClass {
    match class {
        FailureClass::Retryable => types::FailureClass::Retryable,
        FailureClass::Permanent => types::FailureClass::Permanent,
        FailureClass::Ambiguous => types::FailureClass::Ambiguous,
        FailureClass::Denied => types::FailureClass::Denied,
        FailureClass::Unsupported => types::FailureClass::Unsupported,
    }
}

fn failure(failure: Failure) -> types::Failure {
    let (of, code, message, retry_after_ms) = failure.into_parts();
    types::Failure { class: class(of), code, message, retry_after_ms }
}

fn generation_in(known: types::Generation) -> Generation {
    Generation {
        number: known.number,
        id: known.id,
        slot: known.slot,
        role: known.role,
        state: State::from_name(&known.state),
        created_unix: known.created_unix,
        expires_unix: known.expires_unix,
        last_used_unix: known.last_used_unix,
        live_uses: known.live_uses,
        attributes: known.attributes,
        facts: known.facts,
    }
}

fn generation_out(seen: Generation) -> types::Generation {
    types::Generation {
        number: seen.number,
        id: seen.id,
        slot: seen.slot,
        role: seen.role,
        state: seen.state.name().to_owned(),
        created_unix: seen.created_unix,
        expires_unix: seen.expires_unix,
        last_used_unix: seen.last_used_unix,
        live_uses: seen.live_uses,
        attributes: seen.attributes,
        facts: seen.facts,
    }
}

fn context(ctx: types::Context) -> Context {
    Context {
        operation: ctx.operation,
        attempt: ctx.attempt,
        remaining_ms: ctx.remaining_ms,
        generation: ctx.generation,
        id: ctx.id,
    }
}

fn target<R: Rotator>(target: types::Target, handles: Vec<secrets::Secret>) -> Result<Target<R::Settings>> {
    let mut handles: Vec<_> = handles.into_iter().map(Some).collect();
    let mut values = Vec::with_capacity(handles.len());
    for value in target.values {
        let handle = usize::try_from(value.index).ok().and_then(|index| handles.get_mut(index)?.take());
        let Some(handle) = handle else {
            return Err(Failure::permanent("call.values", "the host's table of values does not fit its handles"));
        };
        let secret = Secret::from_handle(handle);
        values.push(Value { generation: value.generation, field: value.field, secret });
    }
    Ok(Target {
        id: target.id,
        place: target.place,
        settings: settings::<R>(&target.settings)?,
        generations: target.generations.into_iter().map(generation_in).collect(),
        values,
    })
}

fn findings(findings: Vec<Finding>) -> Vec<exports::Finding> {
    let one =
        |finding: Finding| exports::Finding { path: finding.path, message: finding.message, fatal: finding.fatal };
    findings.into_iter().map(one).collect()
}

/// Runs one export: hook first, then the arguments, then the plugin.
fn call<R: Rotator, T>(
    ctx: types::Context,
    t: types::Target,
    handles: Vec<secrets::Secret>,
    run: impl FnOnce(&Context, &Target<R::Settings>) -> Result<T>,
) -> Result<T, types::Failure> {
    panic::install_hook();
    target::<R>(t, handles).and_then(|target| run(&context(ctx), &target)).map_err(failure)
}

impl<R: Rotator> Guest for Component<R> {
    fn describe() -> String {
        panic::install_hook();
        R::describe()
    }

    fn profile(text: String) -> Result<String, types::Failure> {
        panic::install_hook();
        settings::<R>(&text)
            .and_then(|settings| R::profile(&settings))
            .map(|profile| profile.to_json())
            .map_err(failure)
    }

    fn validate(text: String) -> Result<Vec<exports::Finding>, types::Failure> {
        panic::install_hook();
        Ok(findings(match settings::<R>(&text) {
            Ok(settings) => R::validate(&settings),
            Err(failure) => vec![Finding::fatal("", failure.message())],
        }))
    }

    fn preflight(
        ctx: types::Context,
        t: types::Target,
        secrets: Vec<secrets::Secret>,
    ) -> Result<Vec<exports::Finding>, types::Failure> {
        call::<R, _>(ctx, t, secrets, R::preflight).map(findings)
    }

    fn observe(
        ctx: types::Context,
        t: types::Target,
        secrets: Vec<secrets::Secret>,
    ) -> Result<exports::Observed, types::Failure> {
        let observed = call::<R, _>(ctx, t, secrets, R::observe)?;
        Ok(exports::Observed {
            target_now_unix: observed.target_now_unix,
            generations: observed.generations.into_iter().map(generation_out).collect(),
        })
    }

    fn create(
        ctx: types::Context,
        t: types::Target,
        offered: Facts,
        secrets: Vec<secrets::Secret>,
    ) -> Result<exports::Created, types::Failure> {
        let created = call::<R, _>(ctx, t, secrets, |ctx, target| R::create(ctx, target, &offered))?;
        Ok(exports::Created {
            generation: generation_out(created.generation),
            secrets: created.secrets.into_iter().map(|(name, secret)| (name, secret.into_handle())).collect(),
        })
    }

    fn install(ctx: types::Context, t: types::Target, secrets: Vec<secrets::Secret>) -> Result<Facts, types::Failure> {
        call::<R, _>(ctx, t, secrets, R::install)
    }

    fn verify(
        ctx: types::Context,
        t: types::Target,
        secrets: Vec<secrets::Secret>,
    ) -> Result<exports::Verdict, types::Failure> {
        call::<R, _>(ctx, t, secrets, R::verify).map(|verdict| match verdict {
            Verdict::Works => exports::Verdict::Works,
            Verdict::Refused(reason) => exports::Verdict::Refused(reason),
        })
    }

    fn promote(ctx: types::Context, t: types::Target, secrets: Vec<secrets::Secret>) -> Result<Facts, types::Failure> {
        call::<R, _>(ctx, t, secrets, R::promote)
    }

    fn disable(ctx: types::Context, t: types::Target, secrets: Vec<secrets::Secret>) -> Result<Facts, types::Failure> {
        call::<R, _>(ctx, t, secrets, R::disable)
    }

    fn enable(ctx: types::Context, t: types::Target, secrets: Vec<secrets::Secret>) -> Result<Facts, types::Failure> {
        call::<R, _>(ctx, t, secrets, R::enable)
    }

    fn destroy(ctx: types::Context, t: types::Target, secrets: Vec<secrets::Secret>) -> Result<Facts, types::Failure> {
        call::<R, _>(ctx, t, secrets, R::destroy)
    }
}
