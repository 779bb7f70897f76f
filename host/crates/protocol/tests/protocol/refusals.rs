//! What is refused at plan time, and the better strategy that is named.

use crate::common::{alternate, consumer, id, native, one_slot, policy, profile, verifier};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::plan::plan;
use keybaton_protocol::policy::{Policy, Quorum, WaveSize};
use keybaton_protocol::profile::{Minter, Overlap, Profile, UsageSignal};
use keybaton_protocol::refuse;
use keybaton_protocol::step::{PlanKind, Step};

fn check(what: &str, profile: &Profile, policy: &Policy, codes: &[&str]) {
    let problems = refuse(PlanKind::Rotate, profile, policy);
    let found: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(found, codes, "{what}");
    assert!(problems.iter().all(|problem| !problem.instead.is_empty()), "{what}");
}

fn sound() -> Policy {
    policy(vec![consumer("api", &["one"])])
}

fn signal() -> Profile {
    Profile { usage: Some(UsageSignal { lag_ms: 4_000, resolution_ms: 1_000 }), ..alternate() }
}

#[test]
fn what_the_target_cannot_do_is_refused_with_the_better_strategy() {
    check("a sound plan", &alternate(), &sound(), &[]);
    check("one live at a time is no overlap", &profile(Overlap::Native(1)), &sound(), &["native-limit"]);
    check("none live at a time", &profile(Overlap::Native(0)), &sound(), &["native-limit"]);
    check("one slot in turn", &profile(Overlap::Alternate(vec![id("a")])), &sound(), &["slots"]);
    check("a slot twice", &profile(Overlap::Alternate(vec![id("a"), id("a")])), &sound(), &["slots"]);
    let minted = Profile { minter: Minter::Target, ..one_slot() };
    check("minted into the only slot", &minted, &sound(), &["minted-into-the-only-slot"]);
    check("minted by a target with room", &native(), &sound(), &[]);
    let gap = Policy { accept_gap: false, ..sound() };
    check("a gap nobody accepted", &one_slot(), &gap, &["gap"]);
    check("no gap where there is overlap", &alternate(), &gap, &[]);
    let problems = refuse(PlanKind::Rotate, &one_slot(), &gap);
    assert!(problems[0].instead.contains("alternate") && problems[0].instead.contains("accept_gap"));
}

#[test]
fn limits_that_allow_nothing_are_refused() {
    let mut bad = sound();
    bad.attempts.cap = 0;
    bad.call_timeout_ms = 0;
    bad.staged_lease_ms = 0;
    bad.stragglers.quorum = Quorum::Percent(0);
    check("all at once", &alternate(), &bad, &["attempts", "call-timeout", "staged-lease", "quorum"]);
    let mut over = sound();
    over.stragglers.quorum = Quorum::Percent(101);
    check("more than all", &alternate(), &over, &["quorum"]);
    over.stragglers.quorum = Quorum::Percent(100);
    check("all", &alternate(), &over, &[]);
    let nobody = Policy { staged_lease_ms: 0, ..policy(Vec::new()) };
    check("a lease for nobody", &alternate(), &nobody, &[]);
}

#[test]
fn the_same_name_twice_is_refused() {
    let twice = policy(vec![consumer("api", &["one"]), consumer("api", &["two"])]);
    check("a consumer twice", &alternate(), &twice, &["duplicate-consumer"]);
    check("a replica twice", &alternate(), &policy(vec![consumer("api", &["a", "a"])]), &["duplicate-replica"]);
}

#[test]
fn evidence_that_cannot_be_given_is_refused() {
    let with = |ready, adopted| {
        let mut policy = sound();
        policy.consumers[0].ready = ready;
        policy.consumers[0].adopted = adopted;
        policy
    };
    use EvidenceKind::{Attested, Holder, Process, Store, Target};
    let seen = Policy { quiet_ms: 5_000, ..with(Target, Target) };
    check("target, where it tells", &signal(), &seen, &[]);
    for (ready, adopted, codes) in [
        (Holder, Process, &[][..]),
        (Process, Attested, &[]),
        (Attested, Attested, &[]),
        (Store, Process, &["ready-evidence"]),
        (Holder, Store, &["adopted-evidence"]),
        (Holder, Holder, &["adopted-evidence"]),
        (Holder, Target, &["adopted-evidence"]),
        (Target, Process, &["ready-evidence"]),
    ] {
        check(&format!("{ready} then {adopted}"), &alternate(), &with(ready, adopted), codes);
        let mut optional = with(ready, adopted);
        optional.consumers[0].required = false;
        check("nobody waits for an optional one", &alternate(), &optional, &[]);
    }
    let mut gateway = policy(vec![verifier("gateway", &["one"])]);
    gateway.consumers[0].adopted = Store;
    check("a verifier adopts nothing", &alternate(), &gateway, &[]);
}

#[test]
fn a_quiet_time_that_says_nothing_is_refused() {
    let quiet = |quiet_ms, uses_every_ms| {
        let mut policy = Policy { quiet_ms, ..sound() };
        policy.consumers[0].uses_every_ms = uses_every_ms;
        policy
    };
    for (profile, quiet_ms, uses_every_ms, codes) in [
        (signal(), 4_999, None, &["quiet-too-short"][..]),
        (signal(), 5_000, None, &[]),
        (signal(), 5_000, Some(5_000), &[]),
        (signal(), 5_000, Some(5_001), &["quiet-below-use"]),
        (alternate(), 1, None, &["quiet-unseen"]),
        (alternate(), 0, Some(60_000), &[]),
    ] {
        check(&format!("{quiet_ms} ms, {uses_every_ms:?}"), &profile, &quiet(quiet_ms, uses_every_ms), codes);
    }
}

#[test]
fn waves_that_cannot_be_are_refused() {
    let waves = |sizes: &[WaveSize]| {
        let mut policy = sound();
        policy.waves.sizes = sizes.to_vec();
        policy
    };
    let two = [WaveSize::Count(1), WaveSize::Rest];
    check("waves where there is overlap", &alternate(), &waves(&two), &[]);
    check("waves in one slot", &one_slot(), &waves(&two), &["waves-without-overlap"]);
    check("one wave in one slot", &one_slot(), &waves(&[WaveSize::Rest]), &[]);
    check("an empty wave", &alternate(), &waves(&[WaveSize::Count(0)]), &["wave-size"]);
    check("no percent", &alternate(), &waves(&[WaveSize::Percent(0)]), &["wave-size"]);
    check("too many percent", &alternate(), &waves(&[WaveSize::Percent(101)]), &["wave-size"]);
}

#[test]
fn what_only_concerns_moving_does_not_stop_an_issue() {
    let gap = Policy { accept_gap: false, ..sound() };
    assert_eq!(refuse(PlanKind::Issue, &one_slot(), &gap), []);
    let mut bad = sound();
    bad.attempts.cap = 0;
    assert_eq!(refuse(PlanKind::Issue, &one_slot(), &bad).len(), 1);
}

#[test]
fn plans_are_data_derived_from_the_kind_and_the_profile() {
    use Step::{Adopt, Commit, Create, Destroy, Disable, Drain, Install, Stage, Verify};
    let hard = Profile { soft_disable: false, ..alternate() };
    for (kind, profile, steps) in [
        (PlanKind::Issue, alternate(), &[Create, Install, Verify, Commit][..]),
        (PlanKind::Issue, one_slot(), &[Create, Install, Verify, Commit]),
        (PlanKind::Adopt, alternate(), &[Verify, Commit]),
        (PlanKind::Rotate, alternate(), &[Create, Install, Verify, Stage, Commit, Adopt, Drain, Disable, Destroy]),
        (PlanKind::Rotate, hard.clone(), &[Create, Install, Verify, Stage, Commit, Adopt, Drain, Destroy]),
        (PlanKind::Rotate, one_slot(), &[Create, Stage, Install, Verify, Commit, Adopt]),
        (PlanKind::Retire, alternate(), &[Drain, Disable, Destroy]),
        (PlanKind::Retire, hard, &[Drain, Destroy]),
    ] {
        assert_eq!(plan(kind, &profile, None), steps, "{kind}");
    }
    let moved = plan(PlanKind::Rotate, &one_slot(), Some(&alternate()));
    assert_eq!(moved, [Create, Stage, Install, Verify, Commit, Adopt, Drain, Disable, Destroy], "from another target");
}

#[test]
fn where_no_quiet_time_is_asked_for_silence_counts_once_a_use_would_have_shown() {
    let signal = |lag_ms, resolution_ms| Some(UsageSignal { lag_ms, resolution_ms });
    for (sentence, usage, asked_ms, expected_ms) in [
        ("no signal", None, 0, 0),
        ("a signal, and nothing asked", signal(1_000, 500), 0, 1_500),
        ("more is asked", signal(1_000, 500), 60_000, 60_000),
        ("less is asked: that is refused, not raised", signal(1_000, 500), 1_000, 1_000),
        ("a signal of ages", signal(u64::MAX, 1), 0, u64::MAX),
    ] {
        let profile = Profile { usage, ..alternate() };
        let at = Policy { quiet_ms: asked_ms, ..policy(Vec::new()) }.at(&profile);
        assert_eq!(at.quiet_ms, expected_ms, "{sentence}");
        let refused = refuse(PlanKind::Rotate, &profile, &at).iter().any(|problem| problem.code == "quiet-too-short");
        assert_eq!(refused, asked_ms == 1_000, "{sentence}");
    }
}
