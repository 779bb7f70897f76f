//! Events that are not legal where a secret stands: refused by name, with the reason, and without a trace.

use crate::common::{Sim, alternate, author, consumer, fault, id, minted, native, one_slot, pins, policy};
use keybaton_protocol::action::Action;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, HostAnswer, Outcome, RetireCause};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{CallId, Digest, Epoch, Generation, Millis, OperationId, Ordinal, Place};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::{CallKind, Ending, PlanKind, Step};
use keybaton_protocol::{Secret, Stand};

fn one_consumer() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn idle() -> Sim {
    Sim::issued(alternate(), one_consumer())
}

fn staged() -> Sim {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.run();
    sim
}

fn committed() -> Sim {
    let mut sim = staged();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim
}

fn intent(sim: &Sim, kind: CallKind, generation: u32) -> Event {
    let mut next = 1;
    for (_, event) in &sim.journal {
        if let Event::Intended { call, .. } = event {
            next = next.max(call.0 + 1);
        }
    }
    intent_numbered(next, kind, generation)
}

fn intent_numbered(call: u32, kind: CallKind, generation: u32) -> Event {
    Event::Intended {
        call: CallId(call),
        kind,
        generation: Generation(generation),
        place: Place::only(),
        attempt: 1,
        operation: OperationId::of(&id("r2"), kind.name(), Generation(generation), &Place::only(), None),
        baseline: Vec::new(),
        step: Step::Install,
        id: None,
        resumes: Vec::new(),
    }
}

fn refused(sim: &Sim, event: &Event, why: &str) {
    let mut secret = sim.secret.clone();
    let illegal = secret.record(sim.now, event).expect_err(&format!("{event:?}"));
    assert!(illegal.to_string().contains(why), "{event:?}: {illegal}");
    assert_eq!(illegal.event, event.name());
    assert_eq!(secret, sim.secret, "{event:?} left a trace");
}

#[test]
fn the_course_of_a_rotation_cannot_be_jumped() {
    let nowhere = "does not stand where this can happen";
    let rolling = || Event::RollingBack { reason: String::new(), author: None };
    let reverting = || Event::Reverting { reason: String::new(), author: None };
    let over = |ending| Event::Finished { ending, reason: String::new() };
    for (sim, event, why) in [
        (idle(), Event::Staged, nowhere),
        (idle(), Event::Committed, nowhere),
        (idle(), Event::Draining, nowhere),
        (idle(), rolling(), nowhere),
        (idle(), reverting(), nowhere),
        (idle(), over(Ending::Abandoned), nowhere),
        (idle(), Event::WaveOpened { wave: 1 }, nowhere),
        (idle(), Event::Reverted, "no previous credential"),
        (staged(), Event::Staged, "staged already"),
        (staged(), Event::Committed, "the evidence is not there"),
        (staged(), Event::Reverted, nowhere),
        (staged(), over(Ending::Completed), "not come to this end"),
        (staged(), over(Ending::RolledBack), "not come to this end"),
        (
            staged(),
            Event::Supplied { generation: Generation(2), minted: minted(2, None), author: author() },
            "only an import",
        ),
        (committed(), rolling(), nowhere),
        (committed(), Event::Committed, nowhere),
        (committed(), Event::Draining, "not everyone who must has switched"),
        (committed(), Event::WaveOpened { wave: 1 }, "not the next wave"),
        (committed(), over(Ending::Completed), "not come to this end"),
        (committed(), over(Ending::Reverted), "not come to this end"),
    ] {
        refused(&sim, &event, why);
    }
    let fresh = Sim::rotating(alternate(), one_consumer());
    refused(&fresh, &Event::Staged, "the steps before have not been done");
}

#[test]
fn a_start_is_refused_where_its_generation_or_its_slot_cannot_be() {
    let start = |kind, generation: u32, slot: Option<&str>, profile: Profile| Event::Started {
        rotation: id("r9"),
        kind,
        generation: Generation(generation),
        slot: slot.map(id),
        cause: "operator".to_owned(),
        author: author(),
        pins: pins(profile, one_consumer()),
        plan: None,
    };
    let rotate = |generation, slot| start(PlanKind::Rotate, generation, slot, alternate());
    for (event, why) in [
        (rotate(3, Some("app_b")), "count up"),
        (rotate(1, Some("app_b")), "count up"),
        (rotate(2, Some("app_a")), "the slot holds the current credential"),
        (rotate(2, Some("elsewhere")), "none of the target's"),
        (rotate(2, None), "none of the target's"),
        (start(PlanKind::Rotate, 2, Some("app_b"), native()), "has no slots"),
        (start(PlanKind::Issue, 2, Some("app_b"), alternate()), "has a credential already"),
        (start(PlanKind::Retire, 2, None, alternate()), "another generation is current"),
    ] {
        refused(&idle(), &event, why);
    }
    refused(&Sim::new(), &start(PlanKind::Rotate, 1, Some("app_a"), alternate()), "no credential yet");
    refused(&staged(), &rotate(3, Some("app_a")), "does not stand");
    let mut nowhere = pins(alternate(), one_consumer());
    nowhere.places.clear();
    let event = Event::Started {
        rotation: id("r9"),
        kind: PlanKind::Rotate,
        generation: Generation(2),
        slot: Some(id("app_b")),
        cause: String::new(),
        author: author(),
        pins: nowhere,
        plan: None,
    };
    refused(&idle(), &event, "no place");
}

#[test]
fn no_call_is_intended_out_of_turn() {
    for (sim, kind, generation, why) in [
        (idle(), CallKind::Create, 1, "no credential is to be minted now"),
        (idle(), CallKind::Install, 1, "no rotation runs"),
        (idle(), CallKind::Promote, 1, "only what is current is promoted"),
        (idle(), CallKind::Destroy, 1, "no retirement of it is open"),
        (idle(), CallKind::Disable, 1, "no retirement of it is open"),
        (idle(), CallKind::Verify, 9, "no such generation"),
        (idle(), CallKind::Enable, 9, "no such generation"),
        (staged(), CallKind::Create, 2, "no credential is to be minted now"),
        (staged(), CallKind::Install, 1, "not the generation to be installed"),
        (staged(), CallKind::Promote, 2, "only what is current is promoted"),
        (staged(), CallKind::Enable, 2, "it has no part any more"),
        (committed(), CallKind::Destroy, 1, "no retirement of it is open"),
    ] {
        refused(&sim, &intent(&sim, kind, generation), why);
    }
    let sim = staged();
    refused(&sim, &intent_numbered(1, CallKind::Verify, 2), "call numbers count up");
    let fresh = Sim::rotating(alternate(), one_consumer());
    refused(&fresh, &intent(&fresh, CallKind::Install, 2), "not been minted and sealed");
    let one = Sim::rotating(one_slot(), one_consumer());
    let mut minted = one;
    minted.step();
    refused(&minted, &intent(&minted, CallKind::Install, 2), "these have not answered: api one");
    minted.run();
    minted.say("api", "one", Purpose::Ready, 2);
    let install = minted.run_until(CallKind::Install);
    minted.intend(&install);
    refused(&minted, &intent(&minted, CallKind::Verify, 1), "about it is under way");
}

#[test]
fn no_call_is_intended_where_or_when_it_may_not_be() {
    let at = |event: &Event, elsewhere: &str| {
        let mut event = event.clone();
        if let Event::Intended { place, .. } = &mut event {
            *place = id(elsewhere);
        }
        event
    };
    let mut sim = Sim::rotating(alternate(), one_consumer());
    sim.step();
    refused(&sim, &at(&intent(&sim, CallKind::Install, 2), "b"), "no such place");
    sim.record(Event::Held { reason: HoldReason::Operator, detail: String::new() });
    refused(&sim, &intent(&sim, CallKind::Install, 2), "the secret is held");

    let mut exposed = committed();
    exposed.record(Event::Compromised { generation: Generation(1), disable_first: false, author: author() });
    refused(&exposed, &intent(&exposed, CallKind::Enable, 1), "nothing restores it");
    let mut ending = committed();
    ending.say("api", "one", Purpose::Adopted, 2);
    let destroy = ending.run_until(CallKind::Destroy);
    ending.intend(&destroy);
    ending.record(Event::Ended { call: destroy.call, outcome: fault(FailureClass::Retryable) });
    refused(&ending, &intent(&ending, CallKind::Enable, 1), "nothing restores it");

    let mut unknown = minted(1, None);
    unknown.fields.clear();
    let mut adopted = Sim::new();
    let pins = pins(alternate(), one_consumer());
    adopted.command(&Command::Import { rotation: id("r1"), minted: unknown, slot: None, author: author(), pins });
    refused(&adopted, &intent(&adopted, CallKind::Verify, 1), "its value is unknown");
}

#[test]
fn a_call_takes_up_only_what_was_interrupted_in_the_same_effort_with_nothing_unanswered() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let create = sim.due();
    let resuming = |sim: &Sim, kind, generation| {
        let mut event = intent(sim, kind, generation);
        if let Event::Intended { resumes, .. } = &mut event {
            resumes.push(create.call);
        }
        event
    };
    sim.intend(&create);
    let why = "the call it resumes";
    refused(&sim, &resuming(&sim, CallKind::Create, 2), why);
    let request = Digest([7; 32]);
    sim.record(Event::Sent { call: create.call, ordinal: Ordinal(0), request, deadline: Millis(2_000_000) });
    sim.record(Event::Interrupted { call: create.call });
    refused(&sim, &resuming(&sim, CallKind::Create, 2), why);
    let answer = HostAnswer::Answered;
    sim.record(Event::Answered { call: create.call, ordinal: Ordinal(0), request, answer });
    refused(&sim, &resuming(&sim, CallKind::Verify, 1), why);
    sim.record(resuming(&sim, CallKind::Create, 2));
}

#[test]
fn a_start_may_take_the_slot_of_a_current_credential_that_is_gone() {
    let mut sim = idle();
    sim.record(Event::Compromised { generation: Generation(1), disable_first: true, author: author() });
    sim.run();
    let start = Event::Started {
        rotation: id("r9"),
        kind: PlanKind::Rotate,
        generation: Generation(2),
        slot: Some(id("app_a")),
        cause: String::new(),
        author: author(),
        pins: pins(alternate(), one_consumer()),
        plan: None,
    };
    sim.record(start);
}

#[test]
fn what_an_install_tells_is_kept_its_id_with_the_place_and_the_rest_as_facts() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let install = sim.run_until(CallKind::Install);
    sim.intend(&install);
    let facts = [("id", "c9"), ("serial", "17")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    sim.record(Event::Ended { call: install.call, outcome: Outcome::Done(facts.to_vec()) });
    let made = sim.secret.generation(Generation(2)).expect("it is pending");
    assert_eq!(made.id_at(&Place::only()), Some(&id("c9")));
    let kept = made.minted.as_ref().map(|minted| minted.facts.clone());
    assert_eq!(kept, Some(vec![("serial".to_owned(), "17".to_owned())]));
}

#[test]
fn a_call_that_runs_is_alone_with_its_credential() {
    let mut sim = Sim::rotating(alternate(), one_consumer());
    let Action::Call(call) = sim.decide() else { panic!("a create is due") };
    sim.intend(&call);
    for kind in [CallKind::Create, CallKind::Verify] {
        refused(&sim, &intent(&sim, kind, 2), "about it is under way");
    }
    let request = Digest([7; 32]);
    let sent = |call| Event::Sent { call: CallId(call), ordinal: Ordinal(0), request, deadline: Millis(2_000_000) };
    sim.record(sent(call.call.0));
    refused(&sim, &sent(call.call.0), "sent already");
    refused(&sim, &sent(99), "no such call is open");
    sim.record(Event::Interrupted { call: call.call });
    refused(&sim, &Event::Interrupted { call: call.call }, "not running");
}

#[test]
fn a_look_sends_nothing_that_changes_the_target() {
    let mut sim = Sim::rotating(native(), one_consumer());
    let Action::Call(call) = sim.decide() else { panic!("a look is due") };
    sim.intend(&call);
    let request = Digest([7; 32]);
    let sent = Event::Sent { call: call.call, ordinal: Ordinal(0), request, deadline: Millis(2_000_000) };
    refused(&sim, &sent, "changes nothing");
}

#[test]
fn credentials_do_not_end_out_of_turn() {
    let open = |generation, cause| Event::RetirementOpened {
        generation: Generation(generation),
        place: Place::only(),
        cause,
        id: None,
    };
    for (sim, event, why) in [
        (idle(), open(1, RetireCause::Superseded), "not its turn"),
        (idle(), open(1, RetireCause::Ended), "not its turn"),
        (idle(), open(1, RetireCause::Compromised), "not its turn"),
        (idle(), open(1, RetireCause::Orphan), "not its turn"),
        (idle(), open(9, RetireCause::Superseded), "no such generation"),
        (staged(), open(2, RetireCause::RolledBack), "not its turn"),
        (committed(), open(1, RetireCause::Superseded), "not its turn"),
        (committed(), open(2, RetireCause::Superseded), "not its turn"),
        (committed(), open(1, RetireCause::RolledBack), "not its turn"),
        (idle(), Event::Erased { generation: Generation(1) }, "still be live"),
        (committed(), Event::Erased { generation: Generation(1) }, "still be live"),
        (idle(), Event::ForeignSeen { place: Place::only(), id: id("x") }, "was not seen"),
    ] {
        refused(&sim, &event, why);
    }
    let orphan = Event::RetirementOpened {
        generation: Generation(1),
        place: Place::only(),
        cause: RetireCause::Orphan,
        id: Some(id("x")),
    };
    refused(&idle(), &orphan, "no call of ours made it");
    let closed =
        Event::RetirementClosed { generation: Generation(1), place: Place::only(), id: None, superseded: false };
    refused(&idle(), &closed, "not ended");
}

#[test]
fn evidence_and_time_gate_each_intent_that_ends_a_credential() {
    let mut long = one_consumer();
    long.soak_ms = 600_000;
    let mut sim = Sim::rotating(alternate(), long);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.run_until(CallKind::Disable);
    assert!(sim.secret.retirement(Generation(1), &Place::only()).is_some());
    refused(&sim, &intent(&sim, CallKind::Destroy, 1), "not been switched off");
    refused(&sim, &intent(&sim, CallKind::Enable, 1), "being retired");
    sim.say("api", "one", Purpose::Adopted, 1);
    refused(&sim, &intent(&sim, CallKind::Disable, 1), "these have not answered: api one");
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.record(Event::Frozen { author: author() });
    refused(&sim, &intent(&sim, CallKind::Disable, 1), "frozen");
}

#[test]
fn statements_fit_declared_consumers_and_existing_generations() {
    let word = |consumer: &str, generation, kind| {
        Event::Stated(crate::common::evidence(consumer, "one", Purpose::Ready, generation, kind))
    };
    use keybaton_protocol::evidence::EvidenceKind::{Attested, Holder};
    let sim = staged();
    refused(&sim, &word("web", 2, Holder), "no such consumer");
    refused(&sim, &word("api", 9, Holder), "no such generation");
    refused(&sim, &word("api", 2, Attested), "needs a name");
    let fetched = |generation| Event::Fetched {
        consumer: id("api"),
        replica: id("one"),
        incarnation: id("life-1"),
        generation: Generation(generation),
    };
    refused(&sim, &fetched(9), "no such generation");
}

#[test]
fn brakes_are_not_pulled_twice_nor_let_go_twice() {
    let held = Event::Held { reason: HoldReason::Operator, detail: String::new() };
    refused(&idle(), &held, "no rotation runs");
    let mut sim = staged();
    sim.record(held.clone());
    refused(&sim, &held, "held already");
    refused(&sim, &Event::Committed, "the secret is held");
    refused(&idle(), &Event::Released { author: author() }, "nothing is held");
    refused(&idle(), &Event::Thawed { author: author() }, "not frozen");
    let mut frozen = idle();
    frozen.record(Event::Frozen { author: author() });
    refused(&frozen, &Event::Frozen { author: author() }, "frozen already");
    let mut gone = idle();
    gone.record(Event::Unmanaged { author: author() });
    refused(&gone, &Event::Unmanaged { author: author() }, "unmanaged already");
    refused(&idle(), &Event::Reconciled { author: author(), next: Generation(9) }, "was not restored");
    refused(&idle(), &Event::Restored { epoch: Epoch(0), strict: true }, "epochs count up");
    refused(
        &idle(),
        &Event::Overridden { generation: Generation(9), reason: String::new(), author: author() },
        "no such",
    );
    let known = Event::Compromised { generation: Generation(9), disable_first: true, author: author() };
    refused(&idle(), &known, "no such");
}

#[test]
fn what_a_rotation_runs_on_changes_only_to_what_exists() {
    let sim = staged();
    refused(&sim, &Event::PlacesChanged { places: Vec::new(), author: author() }, "no place");
    let twice = Event::ConsumerAdded { consumer: Box::new(consumer("api", &["one"])), author: author() };
    refused(&sim, &twice, "declared already");
    refused(&sim, &Event::ConsumerRemoved { consumer: id("web"), author: author() }, "no such consumer");
    let empty = Sim::new();
    refused(&empty, &Event::PlacesChanged { places: vec![Place::only()], author: author() }, "nothing has been pinned");
}

#[test]
fn an_empty_journal_is_a_secret_that_stands_idle() {
    let mut secret = Secret::new(id("prod/app"));
    assert_eq!((secret.stand(), secret.seq().0, secret.current()), (Stand::Idle, 0, None));
    assert!(secret.at_rest() && secret.managed() && !secret.must_rotate());
    assert_eq!(keybaton_protocol::decide(&secret, Millis(0)), Action::Idle);
    let never = Event::Ended { call: CallId(1), outcome: Outcome::Works };
    assert!(secret.record(Millis(0), &never).is_err());
}
