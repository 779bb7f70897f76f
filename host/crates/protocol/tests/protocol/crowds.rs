//! Who counts as a replica, who is waited for because it holds a credential on record, until when, and who is not.

use crate::common::{Sim, alternate, author, consumer, evidence, id, one_slot, policy, verifier};
use keybaton_protocol::action::{Action, Waiting};
use keybaton_protocol::admit::noticed;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HoldReason, RetireCause};
use keybaton_protocol::evidence::{Evidence, EvidenceKind, Purpose};
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{Generation, Place, RotationId};
use keybaton_protocol::offer;
use keybaton_protocol::policy::{AtDeadline, ConsumerPolicy, Members, Policy, Quorum, Stragglers, WaveSize};
use keybaton_protocol::status;
use keybaton_protocol::step::{Phase, PlanKind, Step};
use keybaton_protocol::view::ReplicaStatus;

const LEASE_MS: u64 = 60_000;

fn counted(name: &str, count: u32) -> ConsumerPolicy {
    ConsumerPolicy { members: Members::Count(count), ..consumer(name, &[]) }
}

fn leased(consumers: Vec<ConsumerPolicy>) -> Policy {
    Policy { staged_lease_ms: LEASE_MS, ..policy(consumers) }
}

/// Everybody named has fetched generation 1 in the rotation to 2, which is staged.
fn staged(policy: Policy, names: &[(&str, &str)]) -> Sim {
    let mut sim = Sim::rotating(alternate(), policy);
    for (name, replica) in names {
        sim.fetch(name, replica, 1);
    }
    sim.run();
    sim
}

/// As that, and 2 has become current: these were ready.
fn committed(policy: Policy, names: &[(&str, &str)], ready: &[(&str, &str)]) -> Sim {
    let mut sim = staged(policy, names);
    for (name, replica) in ready {
        sim.fetch(name, replica, 2);
        sim.say(name, replica, Purpose::Ready, 2);
    }
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(2)), "{:?}", sim.run());
    sim
}

fn missing(waiting: &Waiting) -> Vec<String> {
    match waiting {
        Waiting::Consumers { missing, .. } => missing.iter().map(|(name, it)| format!("{name}/{it}")).collect(),
        other => panic!("{other:?}"),
    }
}

fn ended(sim: &Sim, generation: u32) -> bool {
    let here = |it: &keybaton_protocol::generation::Credential| it.liveness(&Place::only()) == Liveness::Live;
    !sim.secret.generation(Generation(generation)).is_some_and(here)
}

fn shown(sim: &Sim, replica: &str) -> ReplicaStatus {
    let all = status(&sim.secret, sim.now).consumers.into_iter().flat_map(|it| it.replicas);
    all.into_iter().find(|it| it.replica == id(replica)).expect("it is shown")
}

/// Lets this much time pass for certain, as a host that is up does.
fn pass(sim: &mut Sim, ms: u64) {
    let end = sim.now.plus(ms);
    while sim.now < end {
        sim.now = sim.now.plus(1_000).min(end);
        sim.record(Event::Ticked);
    }
}

/// Goes on for so long, while these fetch now and then, as the client SDK does.
fn run_with(sim: &mut Sim, there: &[&str], ms: u64) {
    let end = sim.now.plus(ms);
    while sim.now < end {
        sim.run_for((LEASE_MS / 5).min(end.since(sim.now)));
        there.iter().for_each(|replica| sim.command(&fetch(replica, "life-1", 2)));
    }
    sim.run();
}

fn member(consumer: &str, replica: &str, gone: bool) -> Command {
    Command::Member { consumer: id(consumer), replica: id(replica), gone, author: author() }
}

fn fetch(replica: &str, life: &str, generation: u32) -> Command {
    let (consumer, replica, incarnation) = (id("api"), id(replica), id(life));
    Command::Fetch { consumer, replica, incarnation, generation: Generation(generation) }
}

const THREE: [(&str, &str); 3] = [("api", "a"), ("api", "b"), ("api", "c")];

/// Three replicas hold generation 1, and two are expected; a and b have switched, c says nothing.
fn third_is_silent(policy: Policy) -> Sim {
    let all = matches!(policy.consumers[0].members, Members::Listed(_)) && policy.stragglers.quorum == Quorum::All;
    let mut sim = committed(policy, &THREE, if all { &THREE } else { &THREE[..2] });
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.say("api", "b", Purpose::Adopted, 2);
    sim
}

#[test]
fn nothing_ends_while_a_replica_beyond_the_count_holds_it_on_record() {
    let mut sim = third_is_silent(leased(vec![counted("api", 2)]));
    assert_eq!(missing(&sim.run()), ["api/c"], "who is waited for is named");
    sim.run_for(LEASE_MS / 2);
    assert!(!ended(&sim, 1), "{:?}", sim.done);
    let told = offer(&sim.secret, &id("api"), &id("c"), sim.now);
    assert_eq!(told.use_now, Some(Generation(2)));
    assert_eq!(told.asked.iter().map(|ask| ask.purpose).collect::<Vec<_>>(), [Purpose::Adopted], "it is asked, too");
    sim.say("api", "c", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn who_holds_it_and_is_silent_is_waited_for_until_its_lease_ends() {
    let mut sim = third_is_silent(leased(vec![counted("api", 2)]));
    run_with(&mut sim, &["a", "b"], LEASE_MS - 5_000);
    assert!(!ended(&sim, 1));
    sim.command(&fetch("c", "life-1", 1));
    run_with(&mut sim, &["a", "b"], LEASE_MS - 5_000);
    assert!(!ended(&sim, 1), "it fetched again: its lease runs anew");
    run_with(&mut sim, &["a", "b"], 10_000);
    assert!(sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn a_clock_that_jumps_ends_no_lease() {
    let mut sim = third_is_silent(leased(vec![counted("api", 2)]));
    sim.run();
    sim.now = sim.now.plus(100 * LEASE_MS);
    sim.run();
    assert!(!ended(&sim, 1));
}

#[test]
fn who_was_silent_before_anybody_was_asked_has_a_whole_lease_from_then_on() {
    let mut sim = Sim::issued(alternate(), leased(vec![counted("api", 2)]));
    for (name, replica) in THREE {
        sim.fetch(name, replica, 1);
    }
    pass(&mut sim, 50 * LEASE_MS);
    sim.start(PlanKind::Rotate, alternate(), leased(vec![counted("api", 2)]));
    sim.run();
    for replica in ["a", "b"] {
        sim.fetch("api", replica, 2);
        sim.say("api", replica, Purpose::Ready, 2);
    }
    sim.run();
    for replica in ["a", "b"] {
        sim.say("api", replica, Purpose::Adopted, 2);
    }
    assert_eq!(missing(&sim.run()), ["api/c"]);
    run_with(&mut sim, &["a", "b"], LEASE_MS - 5_000);
    assert!(!ended(&sim, 1));
    run_with(&mut sim, &["a", "b"], 10_000);
    assert!(sim.rotation_over());
}

#[test]
fn an_authority_ends_the_waiting_for_one_replica() {
    let mut sim = third_is_silent(leased(vec![counted("api", 2)]));
    sim.run();
    sim.command(&member("api", "c", true));
    assert_eq!(sim.secret.consumers()[&id("api")].members, Members::Count(2), "two are expected still");
    sim.command(&fetch("c", "life-1", 1));
    sim.run();
    assert!(sim.rotation_over(), "nobody waits for it, though it is there: {:?}", sim.done);
}

#[test]
fn a_new_life_of_a_dropped_replica_is_a_member_again() {
    let mut sim = third_is_silent(leased(vec![counted("api", 2)]));
    sim.command(&member("api", "c", true));
    sim.command(&fetch("c", "life-2", 1));
    assert_eq!(missing(&sim.run()), ["api/c"]);
    sim.command(&member("api", "c", true));
    sim.command(&member("api", "c", false));
    assert_eq!(missing(&sim.run()), ["api/c"], "dropped by mistake, and added again");
}

#[test]
fn a_count_is_one_less_for_who_is_gone_and_not_for_who_was_too_many() {
    let count = |sim: &Sim| sim.secret.consumers()[&id("api")].members.clone();
    let mut sim = staged(leased(vec![counted("api", 2)]), &THREE);
    for (replica, gone, expected) in
        [("c", true, 2), ("b", true, 1), ("x", true, 0), ("b", false, 1), ("c", false, 2), ("y", false, 3)]
    {
        sim.command(&member("api", replica, gone));
        assert_eq!(count(&sim), Members::Count(expected), "{replica} {gone}");
    }
}

#[test]
fn a_list_names_one_less_or_one_more() {
    let mut sim = staged(leased(vec![consumer("api", &["a", "b"])]), &[]);
    for (replica, gone, expected) in [("a", true, &["b"][..]), ("a", false, &["b", "a"]), ("a", false, &["b", "a"])] {
        sim.command(&member("api", replica, gone));
        let expected = Members::Listed(expected.iter().map(|it| id(it)).collect());
        assert_eq!(sim.secret.consumers()[&id("api")].members, expected);
    }
    assert!(sim.refused(&member("api", "z", true)).contains("no member"));
    assert!(sim.refused(&member("web", "a", true)).contains("no consumer"));
}

#[test]
fn policy_ends_the_waiting_at_the_deadline() {
    for (then, over) in [(AtDeadline::Force, true), (AtDeadline::Hold, false)] {
        let mut strict = leased(vec![counted("api", 2)]);
        strict.staged_lease_ms = 100 * LEASE_MS;
        strict.stragglers =
            Stragglers { quorum: Quorum::All, deadline_ms: Some(20_000), then, max_age_ms: None, before_expiry_ms: 0 };
        let mut sim = third_is_silent(strict);
        let waiting = sim.run_for(60_000);
        assert_eq!((sim.rotation_over(), ended(&sim, 1)), (over, over), "{then}: {waiting:?}");
        if !over {
            assert_eq!(waiting, Waiting::Held(HoldReason::Stragglers));
            assert!(sim.secret.hold().is_some_and(|hold| hold.detail.contains("api c")));
            sim.say("api", "c", Purpose::Adopted, 2);
            sim.run();
            assert!(sim.rotation_over(), "it answered");
        }
    }
}

#[test]
fn a_hold_for_a_replica_ends_with_its_lease() {
    let mut strict = leased(vec![counted("api", 2)]);
    let then = AtDeadline::Hold;
    strict.stragglers =
        Stragglers { quorum: Quorum::All, deadline_ms: Some(20_000), then, max_age_ms: None, before_expiry_ms: 0 };
    let mut sim = third_is_silent(strict);
    run_with(&mut sim, &["a", "b"], LEASE_MS - 10_000);
    assert_eq!(sim.run(), Waiting::Held(HoldReason::Stragglers));
    run_with(&mut sim, &["a", "b"], 20_000);
    assert!(sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn a_quorum_says_who_need_not_answer_and_ends_nothing_under_who_holds_it() {
    let mut half = leased(vec![consumer("api", &["a", "b", "c"])]);
    half.stragglers.quorum = Quorum::Percent(60);
    let mut sim = third_is_silent(half);
    assert_eq!(missing(&sim.run()), ["api/c"]);
    sim.run_for(LEASE_MS + 10_000);
    assert!(sim.rotation_over(), "its lease is over: {:?}", sim.done);
}

#[test]
fn a_member_of_a_list_is_waited_for_without_end() {
    let mut sim = third_is_silent(leased(vec![consumer("api", &["a", "b", "c"])]));
    sim.run_for(100 * LEASE_MS);
    assert!(!ended(&sim, 1));
    assert_eq!(missing(&sim.run()), ["api/c"]);
}

#[test]
fn who_starts_again_during_the_soak_on_the_old_one_is_waited_for() {
    let mut slow = leased(vec![counted("api", 2)]);
    slow.overlap_min_ms = 30_000;
    let mut sim = third_is_silent(slow);
    sim.say("api", "c", Purpose::Adopted, 2);
    sim.run_for(10_000);
    sim.command(&fetch("c", "life-2", 1));
    sim.run_for(30_000);
    assert!(!ended(&sim, 1), "a new life of it fetched the old one");
    assert_eq!(missing(&sim.run()), ["api/c"]);
    sim.command(&Command::State(Sim::life(2, "api", "c", Purpose::Adopted, 2)));
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn a_secret_that_ends_is_let_go_by_all_who_hold_it() {
    let policy = leased(vec![counted("api", 2)]);
    let mut sim = Sim::issued(alternate(), policy.clone());
    for (name, replica) in THREE {
        sim.fetch(name, replica, 1);
    }
    sim.start(PlanKind::Retire, alternate(), policy);
    sim.say("api", "a", Purpose::Released, 1);
    sim.say("api", "b", Purpose::Released, 1);
    assert_eq!(missing(&sim.run()), ["api/c"]);
    sim.say("api", "c", Purpose::Released, 1);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn a_verifier_beyond_the_count_drops_the_old_one_too() {
    let gateway = ConsumerPolicy { members: Members::Count(1), ..verifier("gateway", &[]) };
    let mut sim = Sim::rotating(alternate(), leased(vec![gateway]));
    for replica in ["a", "b"] {
        sim.fetch("gateway", replica, 1);
    }
    sim.run();
    sim.fetch("gateway", "a", 2);
    sim.say("gateway", "a", Purpose::Ready, 2);
    sim.run();
    sim.say("gateway", "a", Purpose::Dropped, 1);
    assert_eq!(missing(&sim.run()), ["gateway/b"]);
    sim.say("gateway", "b", Purpose::Dropped, 1);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn with_one_slot_nothing_is_overwritten_under_who_has_not_the_new_one() {
    let mut sim = Sim::rotating(one_slot(), leased(vec![counted("api", 2)]));
    for (name, replica) in THREE {
        sim.fetch(name, replica, 1);
    }
    sim.run();
    for replica in ["a", "b"] {
        sim.fetch("api", replica, 2);
        sim.say("api", replica, Purpose::Ready, 2);
    }
    assert_eq!(missing(&sim.run()), ["api/c"]);
    assert!(!sim.done.contains(&"install 2".to_owned()), "{:?}", sim.done);
    sim.fetch("api", "c", 2);
    sim.say("api", "c", Purpose::Ready, 2);
    sim.run();
    assert!(sim.done.contains(&"install 2".to_owned()), "{:?}", sim.done);
}

#[test]
fn an_invented_name_fills_the_count_and_ends_nothing() {
    let mut sim = staged(leased(vec![counted("api", 2)]), &THREE[..2]);
    for replica in ["a", "ghost"] {
        sim.fetch("api", replica, 2);
        sim.say("api", replica, Purpose::Ready, 2);
    }
    sim.run();
    for replica in ["a", "ghost"] {
        sim.say("api", replica, Purpose::Adopted, 2);
    }
    assert_eq!(missing(&sim.run()), ["api/b"]);
    assert!(!ended(&sim, 1));
}

#[test]
fn a_count_counts_whoever_spoke_within_its_lease() {
    let mut sim = staged(leased(vec![counted("api", 2)]), &[]);
    sim.fetch("api", "dead", 2);
    sim.say("api", "dead", Purpose::Ready, 2);
    pass(&mut sim, LEASE_MS + 1_000);
    sim.fetch("api", "a", 2);
    sim.say("api", "a", Purpose::Ready, 2);
    assert_eq!(missing(&sim.run()), ["api/#1"], "one that was never heard of is missing, or the one that is unknown");
    assert!(shown(&sim, "dead").unknown && !shown(&sim, "a").unknown);
    sim.fetch("api", "successor", 2);
    assert_eq!(missing(&sim.run()), ["api/successor"]);
    sim.fetch("api", "dead", 2);
    assert_eq!(sim.secret.current(), Some(Generation(1)));
    sim.run();
    assert_eq!(sim.secret.current(), Some(Generation(2)), "it was there after all, and has said it in this life");
}

#[test]
fn a_consumer_that_uses_it_now_and_then_has_a_longer_lease() {
    let mut now_and_then = counted("api", 1);
    now_and_then.uses_every_ms = Some(10 * LEASE_MS);
    let mut sim = staged(leased(vec![counted("web", 1), now_and_then]), &[]);
    sim.fetch("api", "a", 2);
    sim.say("api", "a", Purpose::Ready, 2);
    pass(&mut sim, 5 * LEASE_MS);
    assert_eq!(missing(&sim.run()), ["web/#1"]);
    pass(&mut sim, 6 * LEASE_MS);
    assert_eq!(missing(&sim.run()), ["api/#1", "web/#1"]);
}

#[test]
fn a_persons_word_about_a_replica_outlasts_its_silence() {
    let external = ConsumerPolicy { ready: EvidenceKind::Attested, ..counted("ci", 1) };
    let mut sim = staged(leased(vec![external, consumer("api", &["a"])]), &[]);
    let attested = Some(keybaton_protocol::evidence::Attestation {
        author: author(),
        approver: id("bob"),
        expires_at: sim.now.plus(100 * LEASE_MS),
    });
    let word = evidence("ci", "ci", Purpose::Ready, 2, EvidenceKind::Attested);
    sim.command(&Command::State(Evidence { attested, reason: "seen".to_owned(), ..word }));
    pass(&mut sim, 5 * LEASE_MS);
    assert_eq!(missing(&sim.run()), ["api/a"]);
}

#[test]
fn that_a_replica_is_there_is_on_record_a_few_times_a_lease_and_only_while_it_matters() {
    let mut sim = third_is_silent(leased(vec![counted("api", 2)]));
    sim.run();
    let rows = |sim: &mut Sim, replica: &str, life: &str| {
        let before = sim.journal.len();
        for generation in [2, 1] {
            sim.command(&fetch(replica, life, generation));
        }
        sim.journal.len() - before
    };
    assert_eq!(rows(&mut sim, "a", "life-1"), 0, "it has just been heard of");
    pass(&mut sim, LEASE_MS / 4 + 1_000);
    assert_eq!((rows(&mut sim, "a", "life-1"), rows(&mut sim, "c", "life-1")), (1, 1), "one row tells of both");
    assert_eq!((rows(&mut sim, "a", "life-1"), rows(&mut sim, "c", "life-1")), (0, 0));
    sim.say("api", "c", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
    pass(&mut sim, 10 * LEASE_MS);
    let before = sim.journal.len();
    sim.command(&fetch("a", "life-1", 2));
    assert_eq!(sim.journal.len(), before, "nothing depends on it");
    assert!(!shown(&sim, "a").unknown);

    let mut sim = committed(leased(vec![consumer("api", &["a"])]), &THREE[..1], &THREE[..1]);
    pass(&mut sim, 10 * LEASE_MS);
    let before = sim.journal.len();
    sim.command(&fetch("a", "life-1", 2));
    assert_eq!(sim.journal.len(), before, "of a list nobody needs to be heard of");
}

#[test]
fn a_counted_replica_is_told_how_long_it_may_be_silent() {
    let lease = |sim: &Sim, name: &str| offer(&sim.secret, &id(name), &id("a"), sim.now).staged_lease_ms;
    let mut slow = leased(vec![counted("api", 1), consumer("web", &["a"])]);
    slow.overlap_min_ms = LEASE_MS;
    let both = [("api", "a"), ("web", "a")];
    let mut sim = committed(slow, &both, &both);
    assert_eq!((lease(&sim, "api"), lease(&sim, "web")), (Some(LEASE_MS), None));
    for name in ["api", "web"] {
        sim.say(name, "a", Purpose::Adopted, 2);
    }
    sim.run();
    assert_eq!(lease(&sim, "api"), None, "everybody has switched");
}

#[test]
fn once_everybody_has_switched_silence_takes_nothing_back() {
    let mut slow = leased(vec![counted("api", 1)]);
    slow.overlap_min_ms = 5 * LEASE_MS;
    let mut sim = committed(slow, &THREE[..1], &THREE[..1]);
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run_for(6 * LEASE_MS);
    assert!(sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn a_dead_replica_does_not_count_beside_its_successor() {
    let mut sim = committed(leased(vec![counted("api", 2)]), &THREE[..2], &THREE[..2]);
    sim.say("api", "a", Purpose::Adopted, 2);
    // It dies, and its successor starts on the new one; b takes its time.
    for _ in 0..5 {
        pass(&mut sim, LEASE_MS / 4);
        sim.command(&fetch("b", "life-1", 1));
    }
    sim.fetch("api", "successor", 2);
    sim.say("api", "successor", Purpose::Adopted, 2);
    assert_eq!(missing(&sim.run()), ["api/b"]);
    assert!(shown(&sim, "a").unknown);
    sim.say("api", "b", Purpose::Adopted, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn the_dead_neither_lead_the_waves_nor_hold_them_up() {
    let mut policy = leased(vec![counted("api", 2)]);
    policy.waves.sizes = vec![WaveSize::Count(1), WaveSize::Rest];
    let mut sim = Sim::issued(alternate(), policy.clone());
    for name in ["a-dead", "m", "n"] {
        sim.fetch("api", name, 1);
    }
    sim.start(PlanKind::Rotate, alternate(), policy);
    sim.run();
    for name in ["n", "m"] {
        sim.fetch("api", name, 2);
        sim.say("api", name, Purpose::Ready, 2);
    }
    sim.run();
    let new = |sim: &Sim| {
        let told = |name: &&&str| offer(&sim.secret, &id("api"), &id(name), sim.now).use_now == Some(Generation(2));
        ["a-dead", "m", "n"].iter().filter(told).copied().collect::<Vec<_>>()
    };
    assert_eq!(new(&sim), ["m"], "the first by name of those who spoke before the switch");
    sim.say("api", "m", Purpose::Adopted, 2);
    sim.run();
    assert_eq!(new(&sim), ["a-dead", "m", "n"]);
    sim.command(&fetch("a-dead", "life-1", 1));
    sim.say("api", "n", Purpose::Adopted, 2);
    assert_eq!(missing(&sim.run()), ["api/a-dead"]);
    run_with(&mut sim, &["m", "n"], LEASE_MS + 5_000);
    assert!(sim.rotation_over());
}

#[test]
fn whoever_comes_during_a_wave_takes_nobodys_turn() {
    let mut policy = leased(vec![consumer("api", &["a", "b", "c"])]);
    policy.stragglers.quorum = Quorum::Percent(60);
    policy.waves.sizes = vec![WaveSize::Count(1), WaveSize::Rest];
    let mut sim = committed(policy, &THREE[1..], &THREE[1..]);
    let new = |sim: &Sim| {
        let told = |name: &&&str| offer(&sim.secret, &id("api"), &id(name), sim.now).use_now == Some(Generation(2));
        ["b", "c"].iter().filter(told).copied().collect::<Vec<_>>()
    };
    assert_eq!(new(&sim), ["b"], "a is first on the list, and silent");
    sim.fetch("api", "a", 1);
    assert_eq!(new(&sim), ["b"]);
}

#[test]
fn who_is_on_no_list_switches_with_the_last_wave() {
    let mut policy = leased(vec![consumer("api", &["a", "b"])]);
    policy.waves.sizes = vec![WaveSize::Count(1), WaveSize::Rest];
    let mut sim = committed(policy, &THREE, &THREE[..2]);
    let uses = |sim: &Sim| offer(&sim.secret, &id("api"), &id("c"), sim.now).use_now;
    assert_eq!(uses(&sim), Some(Generation(1)));
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run();
    assert_eq!(uses(&sim), Some(Generation(2)));
}

#[test]
fn the_failure_of_who_is_no_member_is_only_on_the_record() {
    let mut sim = staged(leased(vec![consumer("api", &["a"])]), &[]);
    sim.say("api", "stranger", Purpose::Failed, 2);
    assert_eq!(missing(&sim.run()), ["api/a"]);
}

/// A fetch of a former life is refused, and what it shows is put on record, as the engine does.
fn former(sim: &mut Sim, request: &Command) -> bool {
    let refusal = sim.refused(request);
    assert!(refusal.contains("started again"), "{refusal}");
    let event = noticed(&sim.secret, request, sim.now);
    let news = event.is_some();
    event.into_iter().for_each(|event| sim.record(event));
    news
}

#[test]
fn two_processes_of_one_identity_are_noticed_and_nothing_that_one_says_counts_for_the_other() {
    let mut sim = committed(leased(vec![counted("api", 1)]), &THREE[..1], &THREE[..1]);
    sim.command(&fetch("a", "life-2", 2));
    assert!(former(&mut sim, &fetch("a", "life-1", 1)), "it is news");
    assert!(!former(&mut sim, &fetch("a", "life-1", 1)), "it is not put on record again and again");
    assert!(shown(&sim, "a").twice);
    sim.command(&Command::State(Sim::life(2, "api", "a", Purpose::Adopted, 2)));
    assert_eq!(missing(&sim.run()), ["api/a"], "the other process holds the old one");
    for _ in 0..10 {
        pass(&mut sim, LEASE_MS / 4 + 1_000);
        let word = Sim::life(1, "api", "a", Purpose::Ready, 2);
        let acknowledges = Command::Acknowledge { rotation: id("r2"), evidence: word };
        assert!(former(&mut sim, &acknowledges));
        sim.command(&fetch("a", "life-2", 2));
    }
    assert!(!ended(&sim, 1));
    // It is stopped.
    pass(&mut sim, LEASE_MS + 1_000);
    sim.command(&fetch("a", "life-2", 2));
    sim.run();
    assert!(!shown(&sim, "a").twice);
    assert!(sim.rotation_over(), "{:?}", sim.done);
}

#[test]
fn a_life_that_never_was_is_not_taken_for_a_former_one() {
    let mut sim = committed(leased(vec![counted("api", 1)]), &THREE[..1], &THREE[..1]);
    assert_eq!(noticed(&sim.secret, &fetch("a", "life-1", 1), sim.now), None, "its present life");
    assert_eq!(noticed(&sim.secret, &fetch("b", "life-1", 1), sim.now), None, "never heard of");
    sim.command(&fetch("a", "life-2", 2));
    let event = Event::SeenTwice { consumer: id("api"), replica: id("a"), incarnation: id("life-7") };
    let illegal = sim.secret.clone().record(sim.now, &event).expect_err("it never was");
    assert!(illegal.to_string().contains("no former life"));
}

/// Generation 2 was staged, everybody named fetched it, and it is being given back.
fn given_back(policy: Policy, names: &[(&str, &str)]) -> Sim {
    let mut sim = staged(policy, &[]);
    for (name, replica) in names {
        sim.fetch(name, replica, 2);
    }
    sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
    sim
}

#[test]
fn a_rollback_waits_for_members_of_required_consumers_alone() {
    let optional = ConsumerPolicy { required: false, ..consumer("report", &["one"]) };
    let mut sim = given_back(
        leased(vec![consumer("api", &["a"]), counted("web", 1), optional]),
        &[("api", "a"), ("api", "stranger"), ("web", "x"), ("web", "y"), ("report", "one")],
    );
    assert_eq!(missing(&sim.run()), ["api/a", "web/x", "web/y"]);
    for (name, replica) in [("api", "stranger"), ("report", "one")] {
        let asked = offer(&sim.secret, &id(name), &id(replica), sim.now).asked;
        assert_eq!(asked.iter().map(|ask| ask.purpose).collect::<Vec<_>>(), [Purpose::Released], "it is asked");
    }
    sim.say("api", "a", Purpose::Released, 2);
    sim.command(&member("web", "x", true));
    assert_eq!(missing(&sim.run()), ["web/y"]);
    sim.say("web", "y", Purpose::Released, 2);
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn a_rollback_says_until_when_it_waits() {
    let mut sim = given_back(leased(vec![consumer("api", &["a"])]), &[("api", "a")]);
    let until = sim.now.plus(LEASE_MS);
    sim.run();
    let ending = |sim: &Sim| status(&sim.secret, sim.now).retirements.remove(0);
    assert_eq!((ending(&sim).cause, ending(&sim).until), (RetireCause::RolledBack, Some(until)));
    sim.run_for(LEASE_MS - 1);
    assert!(!sim.rotation_over());
    sim.run_for(2_000);
    assert!(sim.rotation_over());

    let mut listed = third_is_silent(leased(vec![consumer("api", &["a", "b", "c"])]));
    listed.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    listed.run();
    assert_eq!(missing(&listed.run()), ["api/c"]);
    assert_eq!(ending(&listed).until, None, "a member of a list is waited for until it answers");
}

#[test]
fn a_new_life_has_nothing_to_give_back_that_it_did_not_fetch() {
    let mut sim = given_back(leased(vec![consumer("api", &["a"])]), &[("api", "a")]);
    assert_eq!(missing(&sim.run()), ["api/a"]);
    sim.command(&fetch("a", "life-2", 1));
    let asked = offer(&sim.secret, &id("api"), &id("a"), sim.now).asked;
    assert!(asked.is_empty(), "it could not prove that it gave it back: {asked:?}");
    sim.run();
    assert!(sim.rotation_over(), "{:?}", sim.done);

    let mut sim = given_back(leased(vec![consumer("api", &["a"])]), &[("api", "a")]);
    sim.command(&fetch("a", "life-2", 1));
    assert!(former(&mut sim, &fetch("a", "life-1", 1)));
    assert_eq!(missing(&sim.run()), ["api/a"], "its former life is not over");
}

#[test]
fn a_new_life_that_fetched_pending_again_gives_it_back_itself() {
    let mut sim = staged(leased(vec![consumer("api", &["a"])]), &[]);
    sim.fetch("api", "a", 2);
    sim.command(&fetch("a", "life-2", 1));
    sim.command(&fetch("a", "life-2", 2));
    sim.command(&Command::Rollback { reason: "drill".to_owned(), author: author() });
    assert_eq!(missing(&sim.run()), ["api/a"]);
    sim.command(&Command::State(Sim::life(2, "api", "a", Purpose::Released, 2)));
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn a_new_life_is_still_waited_for_at_the_end_of_what_was_in_use() {
    let mut sim = committed(leased(vec![counted("api", 1)]), &THREE[..2], &THREE[..1]);
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.command(&fetch("b", "life-2", 2));
    assert_eq!(missing(&sim.run()), ["api/b"], "what its former life fetched may lie on its disk");
    sim.command(&Command::State(Sim::life(2, "api", "b", Purpose::Adopted, 2)));
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn each_statement_is_made_on_an_account_that_can_show_it() {
    use EvidenceKind::{Attested, Holder, Process, Store, Target};
    let mut sim = given_back(leased(vec![consumer("api", &["a"])]), &[("api", "a")]);
    sim.run();
    let refusal = sim.refused(&Command::State(evidence("api", "a", Purpose::Released, 2, Store)));
    assert!(refusal.contains("`store` evidence does not show `released`"), "{refusal}");
    assert_eq!(missing(&sim.run()), ["api/a"]);
    // A journal of before has it on record.
    sim.record(Event::Stated(evidence("api", "a", Purpose::Released, 2, Store)));
    assert_eq!(missing(&sim.run()), ["api/a"]);
    sim.record(Event::Stated(evidence("api", "a", Purpose::Dropped, 2, Store)));
    assert_eq!(missing(&sim.run()), ["api/a"]);
    for (purpose, enough) in [
        (Purpose::Released, &[Holder, Process, Target, Attested][..]),
        (Purpose::Dropped, &[Holder, Process, Target, Attested]),
        (Purpose::Failed, &[Holder, Process, Target]),
        (Purpose::Cry, &[Holder, Process, Target]),
    ] {
        for kind in EvidenceKind::ALL {
            for least in EvidenceKind::ALL {
                let weighs = keybaton_protocol::gate::weighs(purpose, *least, *kind);
                assert_eq!(weighs, enough.contains(kind), "{kind} for {purpose}, {least} asked for");
            }
        }
    }
}

#[test]
fn a_statement_counts_in_the_rotation_that_it_was_asked_in() {
    let mut sim = staged(leased(vec![consumer("api", &["a"])]), &[]);
    let said = |rotation: RotationId| Command::Acknowledge {
        rotation,
        evidence: evidence("api", "a", Purpose::Ready, 2, EvidenceKind::Process),
    };
    for other in [id("r1"), id("r9"), RotationId::none()] {
        let refusal = sim.refused(&said(other));
        assert!(refusal.contains("r2 runs now"), "{refusal}");
    }
    assert_eq!(missing(&sim.run()), ["api/a"]);
    sim.command(&said(id("r2")));
    sim.run();
    let adopted = |rotation| Command::Acknowledge {
        rotation,
        evidence: evidence("api", "a", Purpose::Adopted, 2, EvidenceKind::Process),
    };
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    let refusal = sim.refused(&adopted(id("r2")));
    assert!(refusal.contains("none runs now"), "{refusal}");
    sim.command(&adopted(RotationId::none()));
    sim.run();
    assert!(sim.secret.generation(Generation(1)).is_none());
}

#[test]
fn a_thousand_cries_are_one_and_after_the_end_none() {
    let loud = |sim: &Sim, reason: usize| {
        let word = evidence("api", "a", Purpose::Cry, 2, EvidenceKind::Process);
        let rotation = sim.secret.rotation().map_or_else(RotationId::none, |it| it.id.clone());
        Command::Acknowledge { rotation, evidence: Evidence { reason: format!("{reason:0>500}"), ..word } }
    };
    let mut slow = leased(vec![consumer("api", &["a"]), consumer("web", &["a"])]);
    slow.overlap_min_ms = LEASE_MS;
    let mut sim = committed(slow, &[], &[("api", "a"), ("web", "a")]);
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.run();
    let before = sim.journal.len();
    for at in 0..1_000 {
        sim.command(&loud(&sim, at));
    }
    assert_eq!(sim.journal.len() - before, 1, "it is heard, and said nothing new since");
    for name in ["api", "web"] {
        sim.say(name, "a", Purpose::Adopted, 2);
    }
    sim.run_for(2 * LEASE_MS);
    assert!(sim.rotation_over(), "{:?}", sim.done);
    let before = sim.journal.len();
    for at in 0..1_000 {
        let refusal = sim.refused(&loud(&sim, at));
        assert!(refusal.contains("not in question"), "{refusal}");
    }
    for purpose in [Purpose::Ready, Purpose::Failed, Purpose::Adopted, Purpose::Released, Purpose::Dropped] {
        let word = evidence("api", "a", purpose, 2, EvidenceKind::Process);
        assert!(sim.refused(&Command::State(word)).contains("not in question"), "{purpose}");
    }
    assert_eq!(sim.journal.len(), before);
}

#[test]
fn a_weaker_account_of_the_same_leaves_no_trace() {
    let mut sim = committed(leased(vec![consumer("api", &["a", "b"])]), &[], &THREE[..2]);
    sim.say("api", "a", Purpose::Adopted, 2);
    let before = sim.journal.len();
    for kind in [EvidenceKind::Holder, EvidenceKind::Store] {
        sim.command(&Command::State(evidence("api", "a", Purpose::Adopted, 2, kind)));
    }
    assert_eq!(sim.journal.len(), before);
}

#[test]
fn a_journal_is_read_by_what_was_asked_for_when_it_was_written() {
    // Written when a count of two was enough, whoever else held the old one.
    let mut sim = third_is_silent(leased(vec![counted("api", 2)]));
    let mut before = sim.secret.clone();
    assert!(before.record(sim.now, &Event::Draining).is_err());
    before.replay(sim.now, &Event::Draining).expect("it happened");
    let place = Place::only();
    let opened = Event::RetirementOpened { generation: Generation(1), place, cause: RetireCause::Superseded, id: None };
    before.replay(sim.now, &opened).expect("it happened");
    assert!(before.record(sim.now, &Event::Erased { generation: Generation(1) }).is_err(), "something is left of it");
    sim.secret = before;
    assert_eq!(missing(&sim.run()), ["api/c"], "what comes next goes by what is asked for now");
}

/// The rotation was left after its commit: generation 1 is still ending, by the word of a and b.
fn left(consumer: ConsumerPolicy) -> Sim {
    let mut slow = leased(vec![consumer]);
    slow.overlap_min_ms = LEASE_MS;
    let mut sim = committed(slow, &THREE[..2], &THREE[..2]);
    sim.say("api", "a", Purpose::Adopted, 2);
    sim.command(&Command::Abandon { reason: "drill".to_owned(), author: author() });
    sim.run();
    assert!(sim.secret.retirement(Generation(1), &Place::only()).is_some());
    sim
}

#[test]
fn a_changed_consumer_holds_at_what_is_still_ending() {
    let change = |consumer: ConsumerPolicy| Command::ChangeConsumer { consumer: Box::new(consumer), author: author() };
    // Who was removed from the list is not waited for.
    let mut sim = left(consumer("api", &["a", "b"]));
    sim.command(&change(consumer("api", &["a"])));
    sim.run_for(2 * LEASE_MS);
    assert!(sim.secret.generation(Generation(1)).is_none(), "{:?}", sim.done);
    // Who joined it is.
    let mut sim = left(consumer("api", &["a"]));
    sim.command(&change(consumer("api", &["a", "b"])));
    sim.run_for(2 * LEASE_MS);
    assert!(sim.secret.generation(Generation(1)).is_some());
    assert_eq!(missing(&sim.run()), ["api/b"]);
    // Better evidence is asked for.
    let mut sim = left(consumer("api", &["a"]));
    sim.command(&change(ConsumerPolicy { adopted: EvidenceKind::Target, ..consumer("api", &["a"]) }));
    sim.run_for(2 * LEASE_MS);
    assert_eq!(missing(&sim.run()), ["api/a"]);
    let before = sim.journal.len();
    sim.command(&change(ConsumerPolicy { adopted: EvidenceKind::Target, ..consumer("api", &["a"]) }));
    assert_eq!(sim.journal.len(), before, "the same again is no news");
    let unknown = Event::ConsumerChanged { consumer: Box::new(consumer("web", &["a"])), author: author() };
    assert!(sim.secret.clone().record(sim.now, &unknown).is_err());
}

#[test]
fn a_new_policy_of_the_running_rotation_forgets_who_is_on_its_list_no_more() {
    let mut sim = third_is_silent(leased(vec![consumer("api", &["a", "b", "c"])]));
    assert_eq!(missing(&sim.run()), ["api/c"]);
    let shorter = leased(vec![consumer("api", &["a", "b"])]);
    sim.command(&Command::Repolicy { policy: Box::new(shorter), author: author() });
    assert!(!sim.secret.replicas().contains_key(&(id("api"), id("c"))));
    sim.run();
    assert!(sim.rotation_over());
}

#[test]
fn what_was_staged_is_shown_as_waited_for_in_the_phase_that_waits() {
    let mut sim = given_back(leased(vec![counted("api", 1)]), &[("api", "a")]);
    let waiting = sim.run();
    assert_eq!(sim.secret.rotation().map(|it| it.phase), Some(Phase::RollingBack));
    assert!(matches!(waiting, Waiting::Consumers { step: Step::Disable, .. }), "{waiting:?}");
    let Action::Wait { until: Some(until), .. } = sim.decide() else { panic!("{:?}", sim.decide()) };
    assert!(until > sim.now && until <= sim.now.plus(LEASE_MS), "it looks again by itself");
}
