//! The model and its properties: DESIGN §2's invariants, checked in every state that is reachable.

use keybaton_protocol::command::Command;
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::generation::Role;
use keybaton_protocol::ids::Generation;
use keybaton_protocol::policy::{Members, Policy};
use keybaton_protocol::profile::{Minter, Overlap, Profile};
use keybaton_protocol::step::PlanKind;
use keybaton_protocol::{admit, decide, offer};
use stateright::{Checker, Model, Property};

use crate::common::{Sim, author, consumer, id, pins, policy, told_by_one_record};
use crate::target::Target;
use crate::world::{Act, CONSUMER, LEASE_MS, Workload, World};

/// More states than any of the models has: the exploration is complete, or the test fails.
const MAX_STATES: usize = 1_000_000;

/// What is modelled, and how much trouble there is in all.
#[derive(Clone)]
pub(crate) struct Bounds {
    pub(crate) profile: Profile,
    pub(crate) replicas: usize,
    /// Expected replicas, where they are counted and not listed.
    pub(crate) count: Option<u32>,
    pub(crate) trouble: u8,
    pub(crate) rotations: u8,
    /// Which troubles there are.
    pub(crate) troubles: &'static [Trouble],
}

/// How far a clock is set, ahead and back: far past every timer, and not before 1970.
const STEPS: [i64; 2] = [1_000_000, -500_000];

/// Every trouble there is.
pub(crate) const ALL: &[Trouble] =
    &[Trouble::Hosts, Trouble::Calls, Trouble::Consumers, Trouble::Operators, Trouble::Compromise, Trouble::Strangers];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Replicas die, and somebody speaks under invented names.
    Crowds,
    /// Replicas start again, and rotations are given back.
    Lives,
    Hosts,
    Calls,
    Consumers,
    Operators,
    Compromise,
    Strangers,
    /// A stranger takes a slot, and the target refuses half-way.
    Occupants,
    /// The journal is restored from a backup: a model run of its own, for all else goes on from there.
    Restores,
}

impl Bounds {
    fn policy(&self) -> Policy {
        let names = ["one", "two", "three"];
        let mut policy = policy(vec![consumer(CONSUMER, &names[..self.replicas])]);
        if let Some(count) = self.count {
            policy.consumers[0].members = Members::Count(count);
        }
        policy.staged_lease_ms = LEASE_MS;
        policy.attempts.base_ms = 1;
        policy.attempts.cap = 2;
        policy
    }

    fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }
}

impl Model for Bounds {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        let sim = Sim::new();
        let workloads = ["one", "two", "three"][..self.replicas].iter().map(|name| Workload {
            replica: id(name),
            life: 1,
            known_life: 1,
            holds: Default::default(),
            uses: None,
            said: Default::default(),
            heard: sim.now,
            dead: false,
        });
        let mut world = World {
            secret: sim.secret,
            target: Target::default(),
            now: sim.now,
            passed: sim.now,
            leader: 0,
            doing: Vec::new(),
            wire: Vec::new(),
            replies: Default::default(),
            recorded: Default::default(),
            workloads: workloads.collect(),
            trouble: self.trouble,
            rotations: 1,
            overridden: false,
            counted: self.count.is_some(),
            used: Default::default(),
            broken: Default::default(),
            endings: Default::default(),
            backup: None,
            doubtful: Default::default(),
            restored: false,
        };
        let pins = || pins(self.profile.clone(), self.policy());
        let start = |rotation: &str, kind| Command::Start {
            rotation: id(rotation),
            kind,
            cause: "operator".to_owned(),
            author: author(),
            pins: pins(),
        };
        assert!(world.command(&start("r0", PlanKind::Issue)), "the first issue is refused");
        while world.act() {}
        world.endings.clear();
        for at in 0..self.replicas {
            world.consume(at);
            world.workloads[at].uses = world.secret.current();
        }
        assert!(world.command(&start("r1", PlanKind::Rotate)), "the rotation is refused");
        vec![world]
    }

    /// A comparison after a restore is tried again without an end: two refusals tell as much as any number.
    fn within_boundary(&self, world: &World) -> bool {
        world.secret.efforts().values().all(|tries| tries.count <= 2)
    }

    fn actions(&self, world: &World, actions: &mut Vec<Act>) {
        actions.push(Act::Do);
        actions.push(Act::Tick);
        actions.extend((0..self.replicas).filter(|at| !world.workloads[*at].dead).map(Act::Consume));
        for request in &world.wire {
            actions.push(Act::Land(request.call));
        }
        for call in world.replies.keys() {
            actions.push(Act::Answer(*call));
        }
        for doing in &world.doing {
            if doing.answered.is_some() || world.local(doing.kind) {
                actions.push(Act::End(doing.call));
            } else {
                actions.push(Act::GiveUp(doing.call));
            }
        }
        if world.secret.frozen().is_some() {
            actions.push(Act::Thaw);
        }
        if world.secret.hold().is_some() {
            actions.push(Act::Abandon);
        }
        if world.secret.restored().is_some() {
            actions.extend([Act::Reconcile, Act::AcceptLost]);
        }
        if world.rotations < self.rotations {
            actions.push(Act::Next);
        }
        if world.trouble > 0 {
            self.troubled(world, actions);
        }
    }

    fn next_state(&self, last: &World, act: Act) -> Option<World> {
        let mut world = last.clone();
        let free = matches!(
            act,
            Act::Do
                | Act::Tick
                | Act::Consume(_)
                | Act::Land(_)
                | Act::Answer(_)
                | Act::End(_)
                | Act::GiveUp(_)
                | Act::Thaw
                | Act::Next
                | Act::Reconcile
                | Act::AcceptLost
        ) || (act == Act::Abandon && last.secret.hold().is_some());
        if !free {
            world.trouble -= 1;
        }
        perform(&mut world, &act).then_some(()).filter(|()| world != *last)?;
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("1: current stays valid", |_, world| current_stays(world)),
            Property::always("1: what a replica is told to use works", |_, world| told_what_works(world)),
            Property::always("2, 4, 8: intents are in order", |_, world: &World| world.broken.is_empty()),
            Property::always("3: what our calls made live is named", |_, world| named(world)),
            Property::always("3: strangers are left alone", |_, world| strangers_are_left(world)),
            Property::always("what may still land is in doubt on record", |_, world| doubted(world)),
            Property::always("5: at rest, the census is the journal's", |_, world| census(world)),
            Property::always("6: abandon leads to startable", |_, world| startable(world)),
            Property::always("nothing is stuck for ever", |_, world| never_stuck(world)),
            Property::always("no restore is a dead end", |_, world| leads_on(world)),
            Property::always("at rest, one record tells everything", |_, world: &World| {
                told_by_one_record(&world.secret, world.now).is_ok()
            }),
            Property::sometimes("a rotation completes", |_, world: &World| world.endings.contains("completed")),
            Property::sometimes("a rollback completes", |model: &Self, world: &World| {
                world.endings.contains("rolled-back") || model.troubles == [Trouble::Crowds]
            }),
            Property::sometimes("a revert completes", |model: &Self, world: &World| {
                world.endings.contains("reverted") || !model.has(Trouble::Operators)
            }),
        ]
    }
}

impl Bounds {
    fn troubled(&self, world: &World, actions: &mut Vec<Act>) {
        if world.secret.hold().is_some() {
            actions.push(Act::Release);
        }
        if self.has(Trouble::Restores) {
            actions.extend([Act::Backup, Act::Restore]);
        }
        if self.has(Trouble::Hosts) {
            actions.extend([Act::DieAfterIntent, Act::Crash, Act::Takeover]);
            actions.extend(STEPS.map(Act::CrashAndStep));
        }
        if self.has(Trouble::Calls) {
            actions.push(Act::Send);
            actions.extend([Act::Fail(FailureClass::Retryable), Act::Fail(FailureClass::Permanent)]);
            actions.extend(world.wire.iter().map(|request| Act::LoseRequest(request.call)));
        }
        if self.has(Trouble::Crowds) {
            actions.push(Act::Invent);
            actions.extend((0..self.replicas).filter(|at| !world.workloads[*at].dead).map(Act::Die));
        }
        if self.has(Trouble::Lives) {
            actions.extend((0..self.replicas).map(Act::Restart));
            actions.extend([Act::Rollback, Act::Abandon]);
        }
        if self.has(Trouble::Consumers) {
            for at in 0..self.replicas {
                actions.extend([Act::Restart(at), Act::LieReady(at), Act::LieAdopted(at), Act::Cry(at)]);
                actions.push(Act::CannotUse(at));
            }
        }
        if self.has(Trouble::Operators) {
            actions.extend([Act::Rollback, Act::Revert, Act::Abandon, Act::Override, Act::Freeze]);
            actions.extend(STEPS.map(Act::Step));
            actions.push(Act::Retire);
        }
        if self.has(Trouble::Compromise) {
            for generation in world.secret.generations().keys() {
                actions.extend([Act::Compromise(*generation, false), Act::Compromise(*generation, true)]);
            }
        }
        if self.has(Trouble::Occupants) {
            actions.push(Act::Refuse);
            actions.extend(world.free_slots().into_iter().map(Act::Occupy));
        }
        if self.has(Trouble::Strangers) && matches!(self.profile.overlap, Overlap::Native(_) | Overlap::Replace) {
            actions.push(Act::Foreign);
        }
    }
}

fn perform(world: &mut World, act: &Act) -> bool {
    let reason = "model".to_owned();
    match act {
        Act::Do => world.act(),
        Act::DieAfterIntent => {
            let began = world.begin(false);
            world.takeover(true);
            began
        }
        Act::Send => world.begin(true),
        Act::Land(call) => {
            world.land(*call);
            let waited_for = world.doing.iter().any(|doing| doing.call == *call);
            if !waited_for {
                world.replies.remove(call);
            }
            true
        }
        Act::LoseRequest(call) => {
            world.wire.retain(|request| request.call != *call);
            true
        }
        Act::Answer(call) => {
            world.answer(*call);
            true
        }
        Act::End(call) => {
            world.end(*call);
            true
        }
        Act::GiveUp(call) => {
            world.give_up(*call);
            true
        }
        Act::Fail(class) => world.fail(*class),
        Act::Crash => {
            world.takeover(true);
            true
        }
        Act::Takeover => {
            world.takeover(false);
            true
        }
        Act::Tick => world.tick(),
        Act::Step(by_ms) => {
            world.step(*by_ms);
            true
        }
        Act::CrashAndStep(by_ms) => {
            world.crash_and_step(*by_ms);
            true
        }
        Act::Consume(at) => {
            world.consume(*at);
            true
        }
        Act::Die(at) => {
            world.workloads[*at].dead = true;
            true
        }
        Act::Invent => {
            world.invent();
            true
        }
        Act::Restart(at) => {
            world.restart(*at);
            true
        }
        Act::LieReady(at) => speak(world, *at, Purpose::Ready),
        Act::LieAdopted(at) => speak(world, *at, Purpose::Adopted),
        Act::Cry(at) => speak(world, *at, Purpose::Cry),
        Act::CannotUse(at) => speak(world, *at, Purpose::Failed),
        Act::Foreign => {
            world.foreign();
            true
        }
        Act::Occupy(slot) => {
            world.occupy(slot);
            true
        }
        Act::Refuse => world.refuse(),
        Act::Rollback => world.command(&Command::Rollback { reason, author: author() }),
        Act::Revert => world.command(&Command::Revert { reason, author: author() }),
        Act::Abandon => world.command(&Command::Abandon { reason, author: author() }),
        Act::Release => world.command(&Command::Release { author: author() }),
        Act::Override => {
            let Some(generation) = world.secret.previous().or(world.secret.pending()) else { return false };
            world.overridden = true;
            world.command(&Command::Override { generation, reason, author: author() })
        }
        Act::Compromise(generation, disable_first) => {
            let (generation, disable_first) = (*generation, *disable_first);
            world.command(&Command::Compromise { generation, disable_first, author: author() })
        }
        Act::Freeze => world.command(&Command::Freeze { author: author() }),
        Act::Thaw => world.command(&Command::Thaw { author: author() }),
        Act::Next => world.start(PlanKind::Rotate),
        Act::Retire => world.start(PlanKind::Retire),
        Act::Backup => world.backup(),
        Act::Restore => world.restore(),
        Act::Reconcile => world.command(&Command::Reconcile { author: author(), next: world.next_number() }),
        Act::AcceptLost => {
            world.overridden = true;
            world.command(&Command::AcceptLost { reason, author: author(), next: world.next_number() })
        }
    }
}

/// Says something about the newest generation, whether it is true or not.
fn speak(world: &mut World, at: usize, purpose: Purpose) -> bool {
    let Some(newest) = world.secret.generations().keys().next_back().copied() else { return false };
    world.say(at, purpose, newest);
    true
}

/// Where it cannot be the current value (one slot, an answer outstanding), it is one whose value is kept.
fn current_stays(world: &World) -> bool {
    let Some(current) = world.secret.current().filter(|_| !world.restored) else { return true };
    let retires = world.secret.rotation().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
    let exposed = world.secret.generations().values().any(|it| it.compromised.is_some());
    if retires || exposed || world.displaced(current) || world.target.valid(&world.secret, current) {
        return true;
    }
    let kept = |generation: Generation| {
        world.secret.generation(generation).is_some_and(|it| it.known())
            && world.target.valid(&world.secret, generation)
    };
    world.one_slot() && world.secret.generations().keys().any(|generation| kept(*generation))
}

/// What each replica is told to use works at the target at that instant; with one slot, it or the other value that
/// everybody holds.
fn told_what_works(world: &World) -> bool {
    let exposed = world.secret.generations().values().any(|it| it.compromised.is_some());
    let retires = world.secret.rotation().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
    let works = |generation| world.displaced(generation) || world.target.valid(&world.secret, generation);
    // What a journal that was put back says is compared with the target first.
    exposed
        || retires
        || world.restored
        || world.workloads.iter().all(|it| {
            let told = offer(&world.secret, &id(CONSUMER), &it.replica, world.now);
            told.use_now.is_none_or(works)
                || (world.one_slot() && told.generations.iter().any(|it| works(it.generation)))
        })
}

/// A restored secret is being compared, or there is a request that frees it.
fn leads_on(world: &World) -> bool {
    use keybaton_protocol::action::Action;
    use keybaton_protocol::comparison::{Outcome, compare};
    let Some(compared) = compare(&world.secret, None) else { return true };
    let next = world.next_number();
    match compared.outcome {
        Outcome::Comparing | Outcome::Unreachable => {
            let goes_on = matches!(
                decide(&world.secret, world.now),
                Action::Call(_) | Action::Record(_) | Action::Wait { until: Some(_), .. }
            );
            goes_on || !world.doing.is_empty()
        }
        _ => {
            let lost = Command::AcceptLost { reason: "model".to_owned(), author: author(), next };
            let freed = [Command::Reconcile { author: author(), next }, lost];
            freed.iter().any(|command| admit(&world.secret, command, world.now).is_ok())
        }
    }
}

fn quiet(world: &World) -> bool {
    let open = world.secret.calls().values().any(|call| world.secret.doubt(call).is_some());
    world.wire.is_empty()
        && world.doing.is_empty()
        && world.replies.is_empty()
        && !open
        && world.secret.running_calls().next().is_none()
}

/// A request that may still take effect belongs to a call that the journal holds for open.
fn doubted(world: &World) -> bool {
    let open = |call| {
        let call = world.secret.calls().get(&call);
        call.is_some_and(|it| it.state != keybaton_protocol::calls::CallState::Closed)
    };
    world.wire.iter().all(|request| open(request.call))
}

/// Every credential that our calls made live has a name in the journal.
fn named(world: &World) -> bool {
    let place = keybaton_protocol::ids::Place::only();
    let interrupted = world
        .secret
        .calls()
        .values()
        .any(|call| matches!(call.state, keybaton_protocol::calls::CallState::Interrupted { .. }));
    // What was made between a backup and its restore has no name in the journal.
    if !quiet(world)
        || world.restored
        || interrupted
        || matches!(decide(&world.secret, world.now), keybaton_protocol::action::Action::Record(_))
    {
        return true;
    }
    let ends_by_generation = |generation: Option<Generation>| {
        let credential = generation.and_then(|it| world.secret.generation(it));
        world.profile().minter == Minter::Host && credential.is_some_and(|it| it.liveness(&place).lingers())
    };
    let by_id = world.target.ids.iter().filter(|(_, held)| held.generation.is_some()).all(|(name, held)| {
        let generation = ends_by_generation(held.generation)
            || world.secret.generations().values().any(|it| it.id_at(&place) == Some(name));
        let job = world.secret.retirements().keys().any(|job| job.orphan.as_ref() == Some(name));
        generation || job || world.secret.foreign().contains(&(place.clone(), name.clone()))
    });
    by_id
        && world.target.slots.values().all(|held| {
            held.generation.is_none_or(|it| world.secret.generation(it).is_some_and(|it| it.liveness(&place).lingers()))
        })
}

fn strangers_are_left(world: &World) -> bool {
    let stranger = id("foreign");
    let ours = world.secret.retirements().keys().any(|job| job.orphan.as_ref() == Some(&stranger));
    !ours && world.target.ids.get(&stranger).is_none_or(|held| held.active)
}

/// With nothing running and nothing ending, the target holds current and strangers, and nothing else.
fn census(world: &World) -> bool {
    let rests = world.secret.at_rest()
        && quiet(world)
        && decide(&world.secret, world.now) == keybaton_protocol::action::Action::Idle;
    if !rests || world.restored {
        return true;
    }
    let current = world.secret.current();
    let owned = |held: &&crate::target::Held| held.generation.is_some();
    let ids = world.target.ids.values().filter(owned).filter(|held| held.generation != current).count();
    let named = world.secret.foreign().len();
    let slots = world.target.slots.values().filter(owned).filter(|held| held.generation != current).count();
    ids <= named && slots == 0 && world.secret.generations().len() <= 1
}

/// Abandoning is legal wherever a rotation runs; afterwards one can start, or named retirements stand in the way.
fn startable(world: &World) -> bool {
    if world.secret.rotation().is_none() || world.secret.restored().is_some() {
        return true;
    }
    let mut left = world.clone();
    if !left.command(&Command::Abandon { reason: String::new(), author: author() }) {
        return false;
    }
    let kind = if left.secret.current().is_some() { PlanKind::Rotate } else { PlanKind::Issue };
    let last = world.secret.pins().expect("a rotation runs");
    let start = Command::Start {
        rotation: id("next"),
        kind,
        cause: "operator".to_owned(),
        author: author(),
        pins: pins(last.profile.clone(), last.policy.clone()),
    };
    match admit(&left.secret, &start, left.now) {
        Ok(_) => true,
        Err(_) if left.secret.frozen().is_some() || left.secret.restored().is_some() => true,
        // A moment's business: a value is being tried, or about to be recorded.
        Err(_) if !matches!(decide(&left.secret, left.now), keybaton_protocol::action::Action::Idle) => true,
        Err(refusal) => refusal.why.contains("these have to end first"),
    }
}

/// Whoever waits, waits for somebody or for a time: never for nothing.
fn never_stuck(world: &World) -> bool {
    use keybaton_protocol::action::{Action, Waiting};
    match decide(&world.secret, world.now) {
        Action::Wait { until: None, waiting } => match waiting {
            Waiting::Timer(_) | Waiting::BackOff(_) | Waiting::Doubt(_) => false,
            Waiting::Call(call) => world.doing.iter().any(|doing| doing.call == call),
            Waiting::Retirement(generation, _) => {
                world.secret.role(generation) != Some(Role::Retiring) || !world.secret.retirements().is_empty()
            }
            Waiting::Consumers { missing, .. } => !missing.is_empty(),
            // A new rotation brings the successor that is missing; nothing else can.
            Waiting::Blocked(..) => world.secret.rotation().is_none(),
            Waiting::Stuck(..) | Waiting::Held(_) | Waiting::Frozen => true,
        },
        Action::Idle => world.secret.rotation().is_none(),
        _ => true,
    }
}

/// What a broken state looks like, in short.
fn told(world: &World) -> String {
    let status = keybaton_protocol::status(&world.secret, world.now);
    format!(
        "broken {:?}\none record {:?}\ngenerations {:#?}\nrotation {:?}\nretirements {:?}\ncalls {:?}\nheld {:?}\nwaiting {:?}\n\
         target {:?}\nwire {:?}\ndoing {:?}\nworkloads {:?}\nconsumers {:?}",
        world.broken,
        told_by_one_record(&world.secret, world.now),
        status.generations.iter().map(|it| (it.generation.0, it.role, &it.places)).collect::<Vec<_>>(),
        status.rotation.map(|it| (it.phase, it.step, it.aim, it.failures)),
        status.retirements,
        status.calls,
        status.held,
        decide(&world.secret, world.now),
        world.target,
        world.wire,
        world.doing,
        world.workloads,
        status.consumers,
    )
}

/// Explores everything within the bounds; fails with the shortest way to what breaks.
pub(crate) fn explore(bounds: Bounds) {
    let checker = bounds.checker().threads(2).target_state_count(MAX_STATES).spawn_bfs().join();
    assert!(checker.state_count() < MAX_STATES, "the bounds are too wide to be explored to the end");
    for (name, path) in checker.discoveries() {
        let reached = name.starts_with("a ");
        if !reached {
            let (last, acts) = (path.last_state().clone(), path.into_actions());
            panic!("`{name}` is broken after {acts:?}\n{}", told(&last));
        }
    }
    checker.assert_properties();
}
