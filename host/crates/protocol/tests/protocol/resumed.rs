//! Calls whose host is gone: taken up again while they belong to what is going on, looked after once they do not.

use crate::common::{Sim, alternate, author, consumer, fault, id, native, one_slot, policy, replace};
use keybaton_protocol::action::{Action, Call};
use keybaton_protocol::calls::CallState;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HostAnswer, Outcome};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{CallId, Digest, Generation, Ordinal, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::{Overlap, Profile};
use keybaton_protocol::step::{CallKind, PlanKind};

const REQUEST: Digest = Digest([7; 32]);

fn soaking() -> Policy {
    Policy { soak_ms: 60_000, ..policy(vec![consumer("api", &["one"])]) }
}

fn send(sim: &mut Sim, call: CallId, ordinal: u32, for_ms: u64) {
    let deadline = sim.now.plus(for_ms);
    sim.record(Event::Sent { call, ordinal: Ordinal(ordinal), request: REQUEST, deadline });
}

fn answer(sim: &mut Sim, call: CallId, ordinal: u32, answer: HostAnswer) {
    sim.record(Event::Answered { call, ordinal: Ordinal(ordinal), request: REQUEST, answer });
}

fn end(sim: &mut Sim, call: CallId, outcome: Outcome) {
    sim.record(Event::Ended { call, outcome });
}

/// Intends it; one of its requests is answered; then its host is gone.
fn interrupt(sim: &mut Sim, call: &Call) {
    sim.intend(call);
    send(sim, call.call, 0, 5_000);
    answer(sim, call.call, 0, HostAnswer::Answered);
    sim.record(Event::Interrupted { call: call.call });
}

fn in_doubt(sim: &Sim, call: &Call) -> bool {
    sim.secret.calls().get(&call.call).is_some_and(|open| sim.secret.doubt(open).is_some())
}

fn promoting() -> Profile {
    Profile { promotes: true, ..alternate() }
}

fn rotating(profile: Profile) -> Sim {
    Sim::rotating(profile, soaking())
}

fn ready(profile: Profile) -> Sim {
    let mut sim = rotating(profile);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim
}

fn committed(profile: Profile) -> Sim {
    let mut sim = ready(profile);
    sim.step();
    sim
}

fn adopted(profile: Profile) -> Sim {
    let mut sim = committed(profile);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim
}

fn reverting() -> Sim {
    let mut sim = adopted(alternate());
    sim.run();
    sim.command(&Command::Revert { reason: "drill".to_owned(), author: author() });
    sim
}

/// A secret in which this call is the next, and an order that makes nobody want it any more.
fn situations() -> Vec<(Sim, CallKind, Option<Command>)> {
    let (reason, author) = ("drill".to_owned(), author());
    let rollback = || Command::Rollback { reason: reason.clone(), author: author.clone() };
    let revert = || Command::Revert { reason: reason.clone(), author: author.clone() };
    let abandon = || Command::Abandon { reason: reason.clone(), author: author.clone() };
    vec![
        (rotating(alternate()), CallKind::Create, Some(rollback())),
        (rotating(alternate()), CallKind::Create, Some(abandon())),
        (rotating(alternate()), CallKind::Install, Some(rollback())),
        (rotating(alternate()), CallKind::Install, Some(abandon())),
        (ready(one_slot()), CallKind::Install, Some(rollback())),
        (committed(promoting()), CallKind::Promote, Some(revert())),
        (committed(promoting()), CallKind::Promote, Some(abandon())),
        (adopted(alternate()), CallKind::Disable, Some(revert())),
        (reverting(), CallKind::Enable, Some(abandon())),
        (adopted(alternate()), CallKind::Destroy, None),
        (adopted(replace()), CallKind::Destroy, None),
    ]
}

#[test]
fn each_kind_of_call_is_taken_up_from_its_record_as_long_as_it_is_wanted() {
    for (mut sim, kind, _) in situations() {
        let call = sim.run_until(kind);
        interrupt(&mut sim, &call);
        assert!(!in_doubt(&sim, &call), "{kind}");
        let again = if call.pins.profile.overlap == Overlap::None {
            // One slot: the login tells first.
            sim.step();
            continue;
        } else {
            sim.due()
        };
        assert_eq!((again.kind, &again.resumes), (kind, &vec![call.call]));
        assert_eq!((again.operation, again.attempt), (call.operation, call.attempt));
    }
}

#[test]
fn a_call_that_acted_and_that_nobody_wants_any_more_is_in_doubt() {
    for (mut sim, kind, order) in situations() {
        let Some(order) = order else { continue };
        let call = sim.run_until(kind);
        interrupt(&mut sim, &call);
        sim.command(&order);
        assert!(in_doubt(&sim, &call), "{kind}, {order:?}");
        if let Action::Call(next) = sim.decide() {
            assert!(next.resumes.is_empty(), "{kind}, {order:?}: {next:?}");
        }
    }
}

#[test]
fn a_call_that_sent_nothing_and_that_nobody_wants_any_more_is_forgotten() {
    for (mut sim, kind, order) in situations() {
        let Some(order) = order else { continue };
        let call = sim.run_until(kind);
        sim.intend(&call);
        sim.record(Event::Interrupted { call: call.call });
        sim.command(&order);
        assert!(!in_doubt(&sim, &call), "{kind}, {order:?}");
        let waiting = sim.run_for(500_000);
        let observed = sim.done.iter().any(|done| done.starts_with("observe"));
        assert!(!observed, "{kind}, {order:?}: nothing is to be looked after: {waiting:?} {:#?}", sim.done);
    }
}

#[test]
fn an_enable_for_a_cry_is_not_taken_up_by_a_revert() {
    let mut sim = adopted(alternate());
    sim.run();
    sim.say("api", "one", Purpose::Cry, 2);
    let enable = sim.due();
    assert_eq!(enable.kind, CallKind::Enable);
    interrupt(&mut sim, &enable);
    assert!(!in_doubt(&sim, &enable));
    sim.command(&Command::Revert { reason: "drill".to_owned(), author: author() });
    assert!(in_doubt(&sim, &enable), "it belongs to another phase");
}

#[test]
fn an_install_that_the_login_made_good_is_not_wanted_though_other_places_are_not_done() {
    let mut sim = Sim::new();
    for kind in [PlanKind::Issue, PlanKind::Rotate] {
        let mut pins = crate::common::pins(one_slot(), policy(Vec::new()));
        pins.places = vec![id("h1"), id("h2")];
        let rotation = id(&format!("r-{kind}"));
        sim.command(&Command::Start { rotation, kind, cause: "operator".to_owned(), author: author(), pins });
        if kind == PlanKind::Issue {
            sim.run();
        }
    }
    let first = sim.run_until(CallKind::Install);
    interrupt(&mut sim, &first);
    let login = sim.due();
    assert_eq!((login.kind, login.place.as_str()), (CallKind::Verify, "h1"));
    sim.intend(&login);
    end(&mut sim, login.call, Outcome::Works);
    assert!(in_doubt(&sim, &first), "it is installed there");
    let next = sim.due();
    assert_eq!((next.kind, next.place.as_str()), (CallKind::Install, "h2"), "the other place is done meanwhile");
}

#[test]
fn an_end_that_another_call_brought_about_is_not_taken_up() {
    for kind in [CallKind::Disable, CallKind::Destroy] {
        let mut sim = adopted(alternate());
        let first = sim.run_until(kind);
        interrupt(&mut sim, &first);
        let mut second = sim.due();
        second.resumes.clear();
        sim.intend(&second);
        end(&mut sim, second.call, Outcome::Done(Vec::new()));
        assert!(in_doubt(&sim, &first), "{kind}");
        assert!(!matches!(sim.decide(), Action::Call(call) if call.kind == kind), "{kind} twice");
    }
}

#[test]
fn two_requests_settle_one_by_one() {
    let mut sim = rotating(alternate());
    let install = sim.run_until(CallKind::Install);
    sim.intend(&install);
    for ordinal in [0, 1] {
        send(&mut sim, install.call, ordinal, 5_000 + u64::from(ordinal));
        answer(&mut sim, install.call, ordinal, HostAnswer::Lost);
    }
    end(&mut sim, install.call, fault(FailureClass::Ambiguous));
    let until = |sim: &Sim| {
        let open = sim.secret.calls().get(&install.call).expect("it is on record");
        sim.secret.doubt(open).map(|until| until.since(sim.now))
    };
    assert_eq!(until(&sim), Some(5_001), "the later of the two");
    answer(&mut sim, install.call, 1, HostAnswer::NotDone);
    assert_eq!(until(&sim), Some(5_000), "one is still out");
    let mut acted = Sim { secret: sim.secret.clone(), journal: Vec::new(), done: Vec::new(), live: Vec::new(), ..sim };
    answer(&mut sim, install.call, 0, HostAnswer::NotDone);
    assert!(sim.secret.calls().is_empty(), "neither was done");
    answer(&mut acted, install.call, 0, HostAnswer::Answered);
    assert_eq!(until(&acted), Some(0), "it was done, and what came of it is not known");
}

#[test]
fn what_acted_and_failed_is_in_doubt_only_where_the_target_mints() {
    for (profile, doubt) in [(native(), true), (alternate(), false)] {
        for acts in [true, false] {
            let mut sim = rotating(profile.clone());
            let create = sim.run_until(CallKind::Create);
            sim.intend(&create);
            if acts {
                send(&mut sim, create.call, 0, 5_000);
                answer(&mut sim, create.call, 0, HostAnswer::Answered);
            }
            end(&mut sim, create.call, fault(FailureClass::Retryable));
            assert_eq!(in_doubt(&sim, &create), doubt && acts, "acts: {acts}");
        }
    }
    let mut sim = rotating(native());
    let install = sim.run_until(CallKind::Install);
    sim.intend(&install);
    send(&mut sim, install.call, 0, 5_000);
    answer(&mut sim, install.call, 0, HostAnswer::Answered);
    end(&mut sim, install.call, fault(FailureClass::Retryable));
    assert!(!in_doubt(&sim, &install), "an install can be tried again");
}

#[test]
fn a_failure_that_comes_after_the_call_was_closed_counts_for_nothing() {
    let mut sim = adopted(replace());
    let first = sim.run_until(CallKind::Destroy);
    sim.intend(&first);
    sim.record(Event::Interrupted { call: first.call });
    let second = sim.due();
    sim.intend(&second);
    end(&mut sim, second.call, fault(FailureClass::Retryable));
    let tried = sim.secret.efforts().clone();
    assert_eq!(sim.secret.calls().get(&first.call).map(|call| call.state), Some(CallState::Closed));
    end(&mut sim, first.call, fault(FailureClass::Permanent));
    assert_eq!(*sim.secret.efforts(), tried, "neither a failure nor a success");
    let standing = sim.secret.generation(Generation(1)).map(|it| it.liveness(&Place::only()));
    assert_eq!(standing, Some(Liveness::Live), "nothing had been sent");
    assert!(sim.secret.retirements().values().all(|retirement| !retirement.gone));
}
