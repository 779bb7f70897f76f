//! Whose word counts for what, and when it stops counting.

use crate::common::{Sim, alternate, author, consumer, evidence, id, one_slot, policy, replace, verifier};
use keybaton_protocol::action::Waiting;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Event;
use keybaton_protocol::evidence::{Attestation, Evidence, EvidenceKind, Purpose};
use keybaton_protocol::gate::weighs;
use keybaton_protocol::ids::{Generation, Millis};
use keybaton_protocol::membership::MAX_PAST_LIVES;
use keybaton_protocol::offer;
use keybaton_protocol::policy::{Members, Quorum};
use keybaton_protocol::step::{Phase, PlanKind, Step};

use EvidenceKind::{Attested, Holder, Process, Store, Target};

#[test]
fn each_kind_of_evidence_weighs_what_the_design_gives_it() {
    for (purpose, least, enough) in [
        (Purpose::Ready, Store, &[Holder, Process, Target][..]),
        (Purpose::Ready, Holder, &[Holder, Process, Target]),
        (Purpose::Ready, Attested, &[Holder, Process, Target, Attested]),
        (Purpose::Ready, Process, &[Process, Target]),
        (Purpose::Ready, Target, &[Target]),
        (Purpose::Adopted, Store, &[Process, Target]),
        (Purpose::Adopted, Holder, &[Process, Target]),
        (Purpose::Adopted, Attested, &[Process, Target, Attested]),
        (Purpose::Adopted, Process, &[Process, Target]),
        (Purpose::Adopted, Target, &[Target]),
    ] {
        for kind in EvidenceKind::ALL {
            let expected = enough.contains(kind);
            assert_eq!(weighs(purpose, least, *kind), expected, "{purpose} asks for {least}, {kind} is said");
        }
    }
}

fn staged(consumers: Vec<keybaton_protocol::policy::ConsumerPolicy>) -> Sim {
    let mut sim = Sim::rotating(alternate(), policy(consumers));
    sim.run();
    sim
}

fn waits_in(waiting: &Waiting) -> Option<Step> {
    match waiting {
        Waiting::Consumers { step, .. } => Some(*step),
        _ => None,
    }
}

fn missing(waiting: &Waiting) -> Vec<String> {
    match waiting {
        Waiting::Consumers { missing, .. } => {
            missing.iter().map(|(name, replica)| format!("{name}/{replica}")).collect()
        }
        other => vec![format!("{other:?}")],
    }
}

#[test]
fn an_agents_own_proof_makes_ready_and_never_adopted() {
    let mut sim = staged(vec![consumer("api", &["one"])]);
    sim.command(&Command::State(evidence("api", "one", Purpose::Ready, 2, Store)));
    assert_eq!(waits_in(&sim.run()), Some(Step::Stage), "delivered is not ready");
    sim.command(&Command::State(evidence("api", "one", Purpose::Ready, 2, Holder)));
    assert_eq!(waits_in(&sim.run()), Some(Step::Adopt));
    sim.command(&Command::State(evidence("api", "one", Purpose::Adopted, 2, Holder)));
    assert_eq!(waits_in(&sim.run()), Some(Step::Adopt), "held is not used");
    sim.command(&Command::State(evidence("api", "one", Purpose::Adopted, 2, Process)));
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn every_required_consumer_is_waited_for_by_name_and_optional_ones_are_not() {
    let mut optional = consumer("report", &["one"]);
    optional.required = false;
    let mut sim = staged(vec![consumer("api", &["one", "two"]), optional]);
    assert_eq!(missing(&sim.run()), ["api/one", "api/two"]);
    sim.say("api", "two", Purpose::Ready, 2);
    assert_eq!(missing(&sim.run()), ["api/one"]);
    sim.say("api", "one", Purpose::Ready, 2);
    assert_eq!(waits_in(&sim.run()), Some(Step::Adopt));
}

#[test]
fn a_counted_membership_waits_for_so_many_different_replicas() {
    let mut counted = consumer("api", &[]);
    counted.members = Members::Count(2);
    let mut sim = staged(vec![counted]);
    assert_eq!(missing(&sim.run()), ["api/#1", "api/#2"]);
    sim.say("api", "pod-x", Purpose::Ready, 2);
    assert_eq!(missing(&sim.run()), ["api/#1"]);
    sim.say("api", "pod-x", Purpose::Ready, 2);
    assert_eq!(missing(&sim.run()), ["api/#1"], "the same replica twice is one");
    sim.say("api", "pod-y", Purpose::Ready, 2);
    assert_eq!(waits_in(&sim.run()), Some(Step::Adopt));
}

#[test]
fn a_quorum_is_rounded_up_and_counted_per_consumer() {
    for (share, members, enough) in [(50, 3, 2), (1, 3, 1), (100, 3, 3), (67, 3, 3), (66, 3, 2)] {
        let names = ["a", "b", "c"];
        let mut policy = policy(vec![consumer("api", &names[..members])]);
        policy.stragglers.quorum = Quorum::Percent(share);
        let mut sim = Sim::rotating(alternate(), policy);
        sim.run();
        for (said, name) in names.iter().enumerate().take(enough) {
            assert_eq!(waits_in(&sim.run()), Some(Step::Stage), "{share} % of {members} is not {said}");
            sim.say("api", name, Purpose::Ready, 2);
        }
        assert_eq!(waits_in(&sim.run()), Some(Step::Adopt), "{share} % of {members} is {enough}");
    }
}

#[test]
fn verifiers_accept_both_before_commit_and_drop_the_old_before_it_is_destroyed() {
    let mut policy = policy(vec![consumer("api", &["one"]), verifier("gateway", &["one", "two"])]);
    policy.stragglers.quorum = Quorum::Percent(50);
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run();
    sim.say("api", "one", Purpose::Ready, 2);
    sim.say("gateway", "one", Purpose::Ready, 2);
    assert_eq!(missing(&sim.run()), ["gateway/two"], "a quorum is not for verifiers");
    sim.say("gateway", "two", Purpose::Ready, 2);
    assert_eq!(missing(&sim.run()), ["api/one"], "verifiers do not adopt");
    sim.say("api", "one", Purpose::Adopted, 2);
    let waiting = sim.run();
    assert_eq!(waits_in(&waiting), Some(Step::Destroy), "{waiting:?}");
    assert_eq!(missing(&waiting), ["gateway/one", "gateway/two"]);
    assert!(sim.done.contains(&"disable 1".to_owned()) && !sim.done.contains(&"destroy 1".to_owned()));
    let asked = offer(&sim.secret, &id("gateway"), &id("one"), sim.now).asked;
    assert_eq!(asked.iter().map(|ask| (ask.purpose, ask.generation.0)).collect::<Vec<_>>(), [(Purpose::Dropped, 1)]);
    sim.say("gateway", "one", Purpose::Dropped, 1);
    sim.say("gateway", "two", Purpose::Dropped, 1);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn a_restart_withdraws_what_the_last_life_said() {
    let mut sim = staged(vec![consumer("api", &["one", "two"])]);
    sim.say("api", "one", Purpose::Ready, 2);
    let mut word = evidence("api", "one", Purpose::Ready, 2, Holder);
    word.incarnation = id("life-2");
    sim.command(&Command::Fetch {
        consumer: id("api"),
        replica: id("one"),
        incarnation: id("life-2"),
        generation: Generation(2),
    });
    assert_eq!(missing(&sim.run()), ["api/one", "api/two"]);
    let stale = sim.refused(&Command::State(evidence("api", "one", Purpose::Ready, 2, Holder)));
    assert!(stale.contains("started again"), "{stale}");
    sim.command(&Command::State(word));
    assert_eq!(missing(&sim.run()), ["api/two"]);
}

#[test]
fn a_report_of_the_older_generation_takes_the_adoption_back() {
    let mut sim = staged(vec![consumer("api", &["one", "two"])]);
    sim.say("api", "one", Purpose::Ready, 2);
    sim.say("api", "two", Purpose::Ready, 2);
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    assert_eq!(missing(&sim.run()), ["api/two"]);
    sim.say("api", "one", Purpose::Adopted, 1);
    assert_eq!(missing(&sim.run()), ["api/one", "api/two"]);
}

#[test]
fn a_weaker_account_does_not_take_the_place_of_a_stronger_one() {
    let mut sim = staged(vec![consumer("api", &["one", "two"])]);
    for replica in ["one", "two"] {
        sim.say("api", replica, Purpose::Ready, 2);
    }
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 2);
    sim.command(&Command::State(evidence("api", "one", Purpose::Adopted, 2, Store)));
    assert_eq!(missing(&sim.run()), ["api/two"]);
}

fn attested(author: &str, approver: &str, expires_at: Millis, reason: &str) -> Evidence {
    let attested = Some(Attestation { author: id(author), approver: id(approver), expires_at });
    let word = evidence("ci", "one", Purpose::Adopted, 2, Attested);
    Evidence { attested, reason: reason.to_owned(), ..word }
}

#[test]
fn a_persons_word_needs_an_approver_a_reason_and_an_expiry_and_ends_with_it() {
    let mut external = consumer("ci", &["one"]);
    external.adopted = Attested;
    external.ready = Attested;
    let mut policy = policy(vec![external]);
    policy.overlap_min_ms = 100;
    let mut sim = Sim::rotating(alternate(), policy);
    sim.run();
    sim.command(&Command::State(evidence("ci", "one", Purpose::Ready, 2, Holder)));
    sim.run();
    let later = sim.now.plus(50);
    for (word, why) in [
        (attested("ada", "ada", later, "seen"), "approved it himself"),
        (attested("ada", "bob", sim.now, "seen"), "expired"),
        (attested("ada", "bob", later, ""), "needs a reason"),
        (Evidence { attested: None, ..attested("ada", "bob", later, "seen") }, "needs a name"),
        (Evidence { kind: Process, ..attested("ada", "bob", later, "seen") }, "needs a name"),
    ] {
        let refusal = sim.refused(&Command::State(word));
        assert!(refusal.contains(why), "{refusal}");
    }
    sim.command(&Command::State(attested("ada", "bob", later, "seen in its logs")));
    assert_eq!(sim.run(), Waiting::Timer(Step::Drain));
    sim.run_for(1_000);
    let waiting = sim.run();
    assert_eq!(missing(&waiting), ["ci/one"], "the word expired before the overlap was over: {waiting:?}");
    assert!(!sim.done.contains(&"disable 1".to_owned()));
}

#[test]
fn statements_that_are_not_in_question_are_refused_with_what_to_do() {
    let mut sim = staged(vec![consumer("api", &["one"])]);
    for (purpose, generation, why) in [
        (Purpose::Adopted, 2, "not in question"),
        (Purpose::Released, 1, "not in question"),
        (Purpose::Dropped, 1, "not in question"),
        (Purpose::Cry, 2, "not in question"),
        (Purpose::Ready, 9, "does not exist"),
    ] {
        let refusal = sim.refused(&Command::State(evidence("api", "one", purpose, generation, Process)));
        assert!(refusal.contains(why), "{purpose} of {generation}: {refusal}");
    }
    let stranger = sim.refused(&Command::State(evidence("web", "one", Purpose::Ready, 2, Process)));
    assert!(stranger.contains("no consumer of prod/app"), "{stranger}");
    let fetch = |generation| Command::Fetch {
        consumer: id("api"),
        replica: id("one"),
        incarnation: id("life-1"),
        generation: Generation(generation),
    };
    assert!(sim.refused(&fetch(7)).contains("not offered"));
    sim.command(&fetch(2));
}

#[test]
fn a_required_consumer_that_cannot_use_pending_sends_it_back() {
    let mut sim = staged(vec![consumer("api", &["one", "two"])]);
    sim.fetch("api", "one", 2);
    let mut word = evidence("api", "two", Purpose::Failed, 2, Holder);
    word.reason = "no such role".to_owned();
    sim.command(&Command::State(word));
    let waiting = sim.run();
    let rotation = sim.secret.rotation().expect("it is being given back");
    assert_eq!(rotation.phase, Phase::RollingBack);
    assert!(rotation.reason.contains("api two could not use generation 2: no such role"), "{}", rotation.reason);
    assert_eq!(missing(&waiting), ["api/one"], "who fetched it is to let it go first");
    let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
    assert_eq!(told.asked.iter().map(|ask| ask.purpose).collect::<Vec<_>>(), [Purpose::Released]);
    assert_eq!(told.use_now, Some(Generation(1)));
    assert!(!told.generations.iter().any(|offered| offered.generation == Generation(2)), "it is not staged any more");
    sim.say("api", "one", Purpose::Released, 2);
    sim.run();
    assert!(sim.rotation_over());
    assert!(sim.done.contains(&"destroy 2".to_owned()));
    assert_eq!(sim.secret.current(), Some(Generation(1)));
}

#[test]
fn an_optional_consumers_failure_is_only_on_the_record() {
    let mut optional = consumer("report", &["one"]);
    optional.required = false;
    let mut sim = staged(vec![consumer("api", &["one"]), optional]);
    sim.say("report", "one", Purpose::Failed, 2);
    assert_eq!(missing(&sim.run()), ["api/one"]);
}

#[test]
fn pending_is_readable_only_while_it_is_staged() {
    let reads = |sim: &Sim| {
        let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
        told.generations.iter().map(|offered| offered.generation.0).collect::<Vec<_>>()
    };
    for profile in [alternate(), one_slot()] {
        let mut sim = Sim::rotating(profile.clone(), policy(vec![consumer("api", &["one"])]));
        assert_eq!(reads(&sim), [1]);
        sim.run();
        assert_eq!(reads(&sim), [2, 1]);
        let told = offer(&sim.secret, &id("api"), &id("one"), sim.now);
        assert_eq!(told.use_now, Some(Generation(1)), "until commit the old one is to be used");
        assert_eq!(told.staged_lease_ms, Some(10_000));
        sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
        assert_eq!(reads(&sim), [1]);
    }
}

#[test]
fn a_membership_change_is_counted_at_once() {
    let mut sim = staged(vec![consumer("api", &["one", "two"])]);
    sim.say("api", "one", Purpose::Ready, 2);
    let members = Members::Listed(vec![id("one")]);
    sim.command(&Command::Members { consumer: id("api"), members, author: author() });
    assert_eq!(waits_in(&sim.run()), Some(Step::Adopt), "who left is not waited for");
    sim.command(&Command::AddConsumer { consumer: Box::new(consumer("web", &["one"])), author: author() });
    sim.say("api", "one", Purpose::Adopted, 2);
    assert_eq!(missing(&sim.run()), ["web/one"], "who joins is");
    sim.command(&Command::RemoveConsumer { consumer: id("web"), author: author() });
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn a_membership_change_forgets_who_left_and_nobody_else() {
    let mut sim = staged(vec![consumer("api", &["one", "two"]), consumer("web", &["one"])]);
    for (name, replica) in [("api", "one"), ("api", "two"), ("web", "one")] {
        sim.fetch(name, replica, 2);
    }
    let members = Members::Listed(vec![id("two")]);
    sim.command(&Command::Members { consumer: id("api"), members, author: author() });
    let known: Vec<_> = sim.secret.replicas().keys().map(|(name, replica)| format!("{name}/{replica}")).collect();
    assert_eq!(known, ["api/two", "web/one"]);
    let again = Members::Listed(vec![id("two")]);
    let events = sim.journal.len();
    sim.command(&Command::Members { consumer: id("api"), members: again, author: author() });
    assert_eq!(sim.journal.len(), events, "the same list again is no news");
}

#[test]
fn a_few_past_lives_are_remembered() {
    let mut sim = staged(vec![consumer("api", &["one"])]);
    for life in 1..=7 {
        sim.command(&Command::State(Sim::life(life, "api", "one", Purpose::Ready, 2)));
        let state = sim.secret.replicas().values().next().expect("it was heard of");
        let oldest = life.saturating_sub(MAX_PAST_LIVES as u32).max(1);
        let past: Vec<_> = (oldest..life).map(|life| format!("life-{life}")).collect();
        assert_eq!(state.past.iter().map(ToString::to_string).collect::<Vec<_>>(), past);
    }
}

#[test]
fn a_secret_that_depends_on_this_one_is_not_asked_to_try_it_and_holds_up_the_end_of_the_old() {
    let mut leaf = consumer("leaf", &["prod/leaf"]);
    leaf.role = keybaton_protocol::policy::ConsumerRole::Depends;
    let mut sim = staged(vec![leaf]);
    assert_eq!(waits_in(&sim.run()), Some(Step::Adopt), "a leaf cannot be derived from what is not committed");
    assert_eq!(missing(&sim.run()), ["leaf/prod/leaf"]);
    sim.say("leaf", "prod/leaf", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn statements_are_in_question_only_while_they_are_asked_for() {
    let refused = |sim: &Sim, name: &str, purpose, generation| {
        let refusal = sim.refused(&Command::State(evidence(name, "one", purpose, generation, Process)));
        assert!(refusal.contains("not in question"), "{purpose} of {generation}: {refusal}");
    };
    let everybody = || policy(vec![consumer("api", &["one"]), verifier("gateway", &["one"])]);
    let mut sim = Sim::rotating(replace(), everybody());
    sim.step();
    refused(&sim, "api", Purpose::Ready, 2);
    refused(&sim, "api", Purpose::Failed, 2);
    sim.run();
    sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
    refused(&sim, "api", Purpose::Ready, 2);
    refused(&sim, "api", Purpose::Failed, 2);

    let mut sim = Sim::rotating(replace(), everybody());
    sim.run();
    sim.fetch("api", "one", 2);
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    sim.start(PlanKind::Rotate, replace(), everybody());
    sim.run();
    assert!(sim.secret.generation(Generation(2)).is_some(), "its lease runs");
    refused(&sim, "api", Purpose::Ready, 2);
    refused(&sim, "api", Purpose::Failed, 2);
    for name in ["api", "gateway"] {
        sim.say(name, "one", Purpose::Ready, 3);
    }
    sim.run();
    sim.say("api", "one", Purpose::Adopted, 3);
    sim.run();
    refused(&sim, "gateway", Purpose::Dropped, 3);
    sim.say("gateway", "one", Purpose::Dropped, 1);
}

#[test]
fn the_same_statement_twice_is_no_news_and_a_better_one_is() {
    let mut sim = staged(vec![consumer("api", &["one"])]);
    let events = |sim: &mut Sim, word: Evidence| {
        let before = sim.journal.len();
        sim.command(&Command::State(word));
        sim.journal.len() - before
    };
    assert_eq!(events(&mut sim, evidence("api", "one", Purpose::Ready, 2, Holder)), 1);
    assert_eq!(events(&mut sim, evidence("api", "one", Purpose::Ready, 2, Holder)), 0, "said already");
    assert_eq!(events(&mut sim, evidence("api", "one", Purpose::Ready, 2, Process)), 1, "another account");
    let word = |expires_at| Evidence {
        attested: Some(Attestation { author: author(), approver: id("bob"), expires_at }),
        reason: "seen".to_owned(),
        ..evidence("api", "one", Purpose::Ready, 2, Attested)
    };
    let later = sim.now.plus(1_000);
    assert_eq!(events(&mut sim, word(later)), 1);
    assert_eq!(events(&mut sim, word(later)), 0, "said already");
    assert_eq!(events(&mut sim, word(later.plus(1))), 1, "it counts for longer");
    assert_eq!(events(&mut sim, Sim::life(2, "api", "one", Purpose::Ready, 2)), 1, "of another life");
}

#[test]
fn each_kind_of_consumer_shows_of_itself_what_is_its_own_to_show_and_the_host_shows_what_it_can_see() {
    use keybaton_protocol::gate::{gives, sees};
    use keybaton_protocol::policy::ConsumerKind as C;
    let all = [Store, Holder, Process, Target, Attested];
    let table: [(C, &[EvidenceKind]); 6] = [
        (C::Client, &[Store, Holder, Process]),
        (C::Agent, &[Store, Holder]),
        (C::Webhook, &[Store, Holder]),
        (C::Endpoint, &[]),
        (C::Sink, &[]),
        (C::External, &[]),
    ];
    for (consumer, own) in table {
        for kind in all {
            assert_eq!(gives(consumer, kind), own.contains(&kind), "{consumer} {kind}");
        }
    }
    assert_eq!(all.map(sees), [true, false, true, true, false]);
}

#[test]
fn an_agents_own_word_is_never_the_workloads() {
    let mut beside = consumer("api", &["one"]);
    beside.kind = keybaton_protocol::policy::ConsumerKind::Agent;
    let mut sim = Sim::rotating(alternate(), policy(vec![beside]));
    sim.run();
    sim.command(&Command::State(evidence("api", "one", Purpose::Ready, 2, Holder)));
    sim.run();
    let claimed = evidence("api", "one", Purpose::Adopted, 2, Process);
    let refusal = sim.refused(&Command::State(claimed.clone()));
    assert!(refusal.contains("of kind `agent` cannot show `process` of itself"), "{refusal}");
    assert!(sim.secret.clone().record(sim.now, &Event::Stated(claimed.clone())).is_err(), "the table holds it too");
    sim.command(&Command::State(Evidence { witnessed: true, ..claimed }));
    sim.run();
    assert!(sim.rotation_over());
}
