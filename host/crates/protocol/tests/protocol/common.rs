//! Drives the protocol in tests: declarations by name, a target that answers at once, consumers that answer on call.
//! Every event goes through `record`, and a refused one fails the test.

use keybaton_protocol::action::{Action, Call, Waiting};
use keybaton_protocol::command::Command;
use keybaton_protocol::decide::{MAX_BATCH, next};
use keybaton_protocol::event::{EXPIRES_FACT, Event, Minted, Outcome, Pins};
use keybaton_protocol::evidence::{Evidence, EvidenceKind, Purpose};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{Author, CallId, Digest, Generation, Millis, OperationId, Place, RotationId};
use keybaton_protocol::policy::{
    AtDeadline, Attempts, ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Stragglers, Waves,
};
use keybaton_protocol::profile::{Minter, Overlap, Profile};
use keybaton_protocol::step::{CallKind, PlanKind, Step};
use keybaton_protocol::{Secret, admit, decide};

pub(crate) fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a well-formed name")
}

pub(crate) fn consumer(name: &str, replicas: &[&str]) -> ConsumerPolicy {
    ConsumerPolicy {
        name: id(name),
        kind: ConsumerKind::Client,
        role: ConsumerRole::Uses,
        required: true,
        members: Members::Listed(replicas.iter().map(|replica| id(replica)).collect()),
        ready: EvidenceKind::Holder,
        adopted: EvidenceKind::Process,
        uses_every_ms: None,
    }
}

pub(crate) fn verifier(name: &str, replicas: &[&str]) -> ConsumerPolicy {
    ConsumerPolicy { role: ConsumerRole::Verifies, ..consumer(name, replicas) }
}

pub(crate) fn policy(consumers: Vec<ConsumerPolicy>) -> Policy {
    Policy {
        consumers,
        stragglers: Stragglers {
            quorum: Quorum::All,
            deadline_ms: None,
            then: AtDeadline::Hold,
            max_age_ms: None,
            before_expiry_ms: 0,
        },
        waves: Waves::default(),
        overlap_min_ms: 0,
        quiet_ms: 0,
        soak_ms: 0,
        staged_lease_ms: 10_000,
        attempts: Attempts { cap: 3, base_ms: 100, max_ms: 1_000 },
        call_timeout_ms: 5_000,
        accept_gap: true,
    }
}

pub(crate) fn profile(overlap: Overlap) -> Profile {
    let soft_disable = !matches!(overlap, Overlap::None | Overlap::Replace);
    Profile {
        minter: if matches!(overlap, Overlap::Native(_)) { Minter::Target } else { Minter::Host },
        replaces: false,
        overlap,
        soft_disable,
        reinstall: true,
        promotes: false,
        usage: None,
        settle_ms: 0,
    }
}

pub(crate) fn native() -> Profile {
    profile(Overlap::Native(2))
}

pub(crate) fn alternate() -> Profile {
    profile(Overlap::Alternate(vec![id("app_a"), id("app_b")]))
}

pub(crate) fn replace() -> Profile {
    profile(Overlap::Replace)
}

pub(crate) fn one_slot() -> Profile {
    profile(Overlap::None)
}

pub(crate) fn pins(profile: Profile, policy: Policy) -> Box<Pins> {
    Box::new(Pins {
        spec: Digest([1; 32]),
        plugin: id("postgres-password"),
        component: Digest([2; 32]),
        profile,
        policy,
        settings: "{}".to_owned(),
        target: "db".to_owned(),
        places: vec![Place::only()],
    })
}

pub(crate) fn author() -> Author {
    id("ada")
}

pub(crate) fn minted(generation: u32, id: Option<&str>) -> Minted {
    Minted {
        id: id.map(self::id),
        attributes: vec![("username".to_owned(), format!("app-{generation}"))],
        facts: Vec::new(),
        fields: vec![("password".to_owned(), self::id("password"))],
    }
}

pub(crate) fn fault(class: FailureClass) -> Outcome {
    Outcome::Failed(Fault {
        class,
        blame: Blame::Target,
        code: "test.fault".to_owned(),
        message: "it did not work".to_owned(),
        retry_after_ms: None,
    })
}

/// A secret, a clock, and the record of what was done.
pub(crate) struct Sim {
    pub(crate) secret: Secret,
    pub(crate) now: Millis,
    pub(crate) journal: Vec<(Millis, Event)>,
    pub(crate) done: Vec<String>,
    pub(crate) rotations: u32,
    /// What the target lists.
    pub(crate) live: Vec<keybaton_protocol::event::Live>,
    /// Generations whose values the target refuses.
    pub(crate) refuses: &'static [u32],
    /// The target does not answer.
    pub(crate) silent: bool,
    /// How long what is made now lives by itself, in seconds.
    pub(crate) life_s: Option<u64>,
}

impl Sim {
    /// A secret whose time one process measures from the first event on.
    pub(crate) fn new() -> Self {
        let mut sim = Self::unmeasured();
        sim.record(Event::ClockResumed);
        sim
    }

    /// The same as journals began before time was measured.
    pub(crate) fn unmeasured() -> Self {
        Self {
            secret: Secret::new(id("prod/app")),
            now: Millis(1_000_000),
            journal: Vec::new(),
            done: Vec::new(),
            rotations: 0,
            live: Vec::new(),
            refuses: &[],
            silent: false,
            life_s: None,
        }
    }

    /// The wall clock is set, and the process that measures the time says so.
    pub(crate) fn step_clock(&mut self, by_ms: i64) {
        self.now = self.now.shifted(by_ms);
        self.record(Event::ClockStepped { by_ms });
    }

    /// A secret that has a current credential under this profile, which consumers use.
    pub(crate) fn issued(profile: Profile, policy: Policy) -> Self {
        let mut sim = Self::new();
        sim.start(PlanKind::Issue, profile, policy);
        sim.run();
        assert_eq!(sim.secret.current(), Some(Generation(1)), "{:#?}", sim.done);
        sim.done.clear();
        sim
    }

    /// As `issued`, and a rotation to generation 2 has been started.
    pub(crate) fn rotating(profile: Profile, policy: Policy) -> Self {
        let mut sim = Self::issued(profile.clone(), policy.clone());
        sim.start(PlanKind::Rotate, profile, policy);
        sim
    }

    pub(crate) fn record(&mut self, event: Event) {
        self.secret.record(self.now, &event).unwrap_or_else(|error| panic!("{error}\n{:#?}", self.done));
        self.journal.push((self.now, event));
    }

    pub(crate) fn command(&mut self, command: &Command) {
        let events = admit(&self.secret, command, self.now).unwrap_or_else(|error| panic!("{error}"));
        events.into_iter().for_each(|event| self.record(event));
    }

    pub(crate) fn refused(&self, command: &Command) -> String {
        admit(&self.secret, command, self.now).expect_err("it was admitted").to_string()
    }

    pub(crate) fn start(&mut self, kind: PlanKind, profile: Profile, policy: Policy) {
        self.rotations += 1;
        let rotation: RotationId = id(&format!("r{}", self.rotations));
        let pins = pins(profile, policy);
        self.command(&Command::Start { rotation, kind, cause: "operator".to_owned(), author: author(), pins });
    }

    /// What is decided at once, which must be what is decided by one who folds each step and asks again.
    pub(crate) fn decide(&self) -> Action {
        let decided = decide(&self.secret, self.now);
        assert_eq!(decided, self.decide_in_steps(), "at once, and in single steps");
        decided
    }

    fn decide_in_steps(&self) -> Action {
        let (mut state, mut batch) = (self.secret.clone(), Vec::new());
        loop {
            match next(&state, self.now) {
                Action::Record(events) if batch.len() < MAX_BATCH => {
                    for event in &events {
                        state.record(self.now.max(state.clock()), event).expect("what is decided is legal");
                    }
                    batch.extend(events);
                }
                action if batch.is_empty() => return action,
                _ => return Action::Record(batch),
            }
        }
    }

    /// Carries out one decision; says what is waited for when there is nothing to do.
    pub(crate) fn step(&mut self) -> Option<Waiting> {
        match self.decide() {
            Action::Record(events) => {
                for event in events {
                    self.done.push(event.name().to_owned());
                    self.record(event);
                }
                None
            }
            Action::Call(call) => {
                let call = *Box::new(call);
                self.intend(&call);
                let outcome = self.answer(&call);
                self.record(Event::Ended { call: call.call, outcome });
                None
            }
            Action::Wait { waiting, .. } => Some(waiting),
            Action::Idle => Some(Waiting::Frozen),
        }
    }

    pub(crate) fn intend(&mut self, call: &Call) {
        self.done.push(format!("{} {}", call.kind, call.generation.0));
        self.record(call.intent());
    }

    /// A call that nobody decided on, put on record as an intent.
    pub(crate) fn intend_by_hand(&mut self, kind: CallKind, generation: u32, place: &Place) -> CallId {
        let intended = self.journal.iter().filter_map(|(_, event)| match event {
            Event::Intended { call, .. } => Some(call.0),
            _ => None,
        });
        let call = CallId(intended.max().map_or(1, |last| last + 1));
        let generation = Generation(generation);
        let operation = OperationId::of(&id("by-hand"), kind.name(), generation, place, None);
        self.record(Event::Intended {
            call,
            kind,
            generation,
            place: place.clone(),
            attempt: 1,
            operation,
            baseline: Vec::new(),
            step: Step::Verify,
            id: None,
            resumes: Vec::new(),
        });
        call
    }

    /// A look at the only place, from intent to answer.
    pub(crate) fn look(&mut self) {
        let call = self.intend_by_hand(CallKind::Observe, 1, &Place::only());
        let outcome = Outcome::Observed { began_at: self.now, live: self.listed(&Place::only()) };
        self.record(Event::Ended { call, outcome });
    }

    /// What the target lists: what a test put there, and the slots that are in use.
    fn listed(&self, place: &Place) -> Vec<keybaton_protocol::event::Live> {
        let told: Vec<_> = self.live.iter().filter_map(|entry| entry.slot.clone()).collect();
        let slots = self.secret.generations().values().filter_map(|it| {
            let slot = it.slot.clone().filter(|slot| !told.contains(slot) && it.liveness(place).lingers())?;
            let entry = live(&format!("{slot}-{}", it.number.0), self.now);
            Some(keybaton_protocol::event::Live { slot: Some(slot), ..entry })
        });
        self.live.iter().cloned().chain(slots).collect()
    }

    /// What a target answers that does as it is told.
    pub(crate) fn answer(&mut self, call: &Call) -> Outcome {
        let number = call.generation.0;
        if self.silent {
            return fault(FailureClass::Retryable);
        }
        match call.kind {
            CallKind::Create => {
                let mints = call.pins.profile.minter == Minter::Target;
                let name = format!("k{number}");
                if mints {
                    self.live.push(live(&name, self.now));
                }
                let expires =
                    self.life_s.map(|life_s| (EXPIRES_FACT.to_owned(), (self.now.0 / 1_000 + life_s).to_string()));
                let minted = minted(number, mints.then_some(name.as_str()));
                Outcome::Created(Minted { facts: expires.into_iter().collect(), ..minted })
            }
            CallKind::Verify if self.refuses.contains(&number) => Outcome::Refused("login refused".to_owned()),
            CallKind::Verify => Outcome::Works,
            CallKind::Observe => Outcome::Observed { began_at: self.now, live: self.listed(&call.place) },
            CallKind::Destroy => {
                let gone = call.id.clone();
                self.live.retain(|live| Some(&live.id) != gone.as_ref());
                Outcome::Done(Vec::new())
            }
            _ => Outcome::Done(Vec::new()),
        }
    }

    /// Goes on until there is nothing to do without time or other facts.
    pub(crate) fn run(&mut self) -> Waiting {
        for _ in 0..100 {
            if let Some(waiting) = self.step() {
                return waiting;
            }
        }
        panic!("it never comes to rest: {:#?}", self.done);
    }

    /// Goes on, and lets time pass wherever that is what is waited for, for at most so long.
    pub(crate) fn run_for(&mut self, ms: u64) -> Waiting {
        let end = self.now.plus(ms);
        for _ in 0..200 {
            let waiting = self.run();
            match self.decide() {
                Action::Wait { until: Some(until), .. } if until <= end => self.now = until.max(self.now.plus(1)),
                _ => {
                    self.now = end;
                    return waiting;
                }
            }
        }
        panic!("it wakes too often: {:#?}", self.done);
    }

    /// The call that is due next.
    pub(crate) fn due(&self) -> Call {
        match self.decide() {
            Action::Call(call) => call,
            other => panic!("{other:?}\n{:#?}", self.done),
        }
    }

    /// Goes on, letting time pass, until a call of this kind is due.
    pub(crate) fn run_until(&mut self, kind: CallKind) -> Call {
        for _ in 0..200 {
            match self.decide() {
                Action::Call(call) if call.kind == kind => return call,
                Action::Wait { until: Some(until), .. } => self.now = until,
                _ => drop(self.step()),
            }
        }
        panic!("no {kind} is due: {:#?}", self.done);
    }

    pub(crate) fn fetch(&mut self, consumer: &str, replica: &str, generation: u32) {
        self.command(&Command::Fetch {
            consumer: id(consumer),
            replica: id(replica),
            incarnation: id("life-1"),
            generation: Generation(generation),
        });
    }

    pub(crate) fn say(&mut self, consumer: &str, replica: &str, purpose: Purpose, generation: u32) {
        let kind = if purpose == Purpose::Adopted { EvidenceKind::Process } else { EvidenceKind::Holder };
        self.command(&Command::State(evidence(consumer, replica, purpose, generation, kind)));
    }

    /// A statement of a later life of a replica.
    pub(crate) fn life(life: u32, consumer: &str, replica: &str, purpose: Purpose, generation: u32) -> Evidence {
        let kind = if purpose == Purpose::Adopted { EvidenceKind::Process } else { EvidenceKind::Holder };
        let incarnation = id(&format!("life-{life}"));
        Evidence { incarnation, ..evidence(consumer, replica, purpose, generation, kind) }
    }

    pub(crate) fn rotation_over(&self) -> bool {
        self.secret.rotation().is_none()
    }
}

pub(crate) fn evidence(
    consumer: &str,
    replica: &str,
    purpose: Purpose,
    generation: u32,
    kind: EvidenceKind,
) -> Evidence {
    Evidence {
        consumer: id(consumer),
        replica: id(replica),
        incarnation: id("life-1"),
        generation: Generation(generation),
        purpose,
        kind,
        reason: String::new(),
        attested: None,
        witnessed: kind == EvidenceKind::Target,
    }
}

pub(crate) fn live(name: &str, created_at: Millis) -> keybaton_protocol::event::Live {
    keybaton_protocol::event::Live {
        id: id(name),
        slot: None,
        active: true,
        created_at: Some(created_at),
        expires_at: None,
        last_used_at: None,
        live_uses: None,
    }
}

/// At rest, one record tells everything: replayed alone it makes the state that it leaves behind, and whoever asks that
/// state is answered as before it was written. What is wrong, if not.
pub(crate) fn told_by_one_record(secret: &Secret, now: Millis) -> Result<(), String> {
    let Some(settled) = secret.as_settled(now) else { return Ok(()) };
    let (settled, mut whole) = (Event::Settled(Box::new(settled)), secret.clone());
    whole.record(now, &settled).map_err(|illegal| illegal.to_string())?;
    let mut alone = Secret::resuming(secret.name().clone(), secret.seq());
    alone.replay(now, &settled).map_err(|illegal| illegal.to_string())?;
    if alone != whole {
        return Err(format!("replayed alone it is {alone:#?}\nand not {whole:#?}"));
    }
    for at in [now, now.plus(3_600_000)] {
        let before = keybaton_protocol::Status { seq: whole.seq(), ..keybaton_protocol::status(secret, at) };
        if before != keybaton_protocol::status(&whole, at) {
            return Err(format!("it stood {before:#?}\nand stands {:#?}", keybaton_protocol::status(&whole, at)));
        }
        let due = next(secret, at);
        if secret.unsettled() < 64 && due != next(&whole, at) {
            return Err(format!("{due:?} was due, and {:?} is", next(&whole, at)));
        }
        for (consumer, replica) in secret.replicas().keys() {
            let offered = keybaton_protocol::offer(secret, consumer, replica, at);
            if offered != keybaton_protocol::offer(&whole, consumer, replica, at) {
                return Err(format!("{replica} was offered {offered:?}"));
            }
        }
        if let Some(command) = asked(secret).iter().find(|it| admit(secret, it, at) != admit(&whole, it, at)) {
            return Err(format!("{command:?} is answered in another way"));
        }
    }
    Ok(())
}

/// What people and consumers may ask of a secret at rest.
fn asked(secret: &Secret) -> Vec<Command> {
    let last = secret.pins().map_or_else(|| pins(native(), policy(Vec::new())), |last| Box::new(Pins::clone(last)));
    let reason = || "asked".to_owned();
    let generation = secret.current().unwrap_or(Generation(1));
    let start = |kind| Command::Start {
        rotation: id("asked"),
        kind,
        cause: "operator".to_owned(),
        author: author(),
        pins: last.clone(),
    };
    let mut all: Vec<_> = PlanKind::ALL.iter().copied().map(start).collect();
    all.extend([
        Command::Release { author: author() },
        Command::Freeze { author: author() },
        Command::Thaw { author: author() },
        Command::Override { generation, reason: reason(), author: author() },
        Command::Compromise { generation, disable_first: true, author: author() },
        Command::Reconcile { author: author(), next: secret.next_generation() },
    ]);
    for ((consumer, replica), state) in secret.replicas() {
        let (consumer, replica) = (consumer.clone(), replica.clone());
        let lives = state.past.iter().chain([&state.incarnation]).cloned();
        all.extend(lives.map(|incarnation| Command::Fetch {
            consumer: consumer.clone(),
            replica: replica.clone(),
            incarnation,
            generation,
        }));
    }
    all
}
