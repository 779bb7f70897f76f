//! The modelled world: one secret's journal, two hosts of which one holds the lease, calls on their way, consumers.
//! Trouble (crashes, losses, lies, commands) is rationed, so that everything reachable with that much can be explored.

use std::collections::{BTreeMap, BTreeSet};

use keybaton_protocol::action::{Action, Call};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Event, HostAnswer, Outcome};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{CallId, Epoch, Generation, Incarnation, Millis, Ordinal, Replica, Slot};
use keybaton_protocol::profile::{Minter, Overlap, Profile};
use keybaton_protocol::step::{CallKind, PlanKind};
use keybaton_protocol::{Secret, admit, decide, offer};

use crate::common::{author, evidence, fault, id, pins};
use crate::target::{Held, Request, Target};

pub(crate) const CONSUMER: &str = "api";

/// One replica of the consumer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Workload {
    pub(crate) replica: Replica,
    pub(crate) life: u8,
    /// Generations it holds, each with when, truly, it was fetched last.
    pub(crate) holds: BTreeMap<Generation, Millis>,
    /// What it truly uses.
    pub(crate) uses: Option<Generation>,
    /// What it has said in the life that the journal knows of, and not taken back.
    pub(crate) known_life: u8,
    pub(crate) said: BTreeSet<(Purpose, Generation)>,
    /// When it last fetched or spoke.
    pub(crate) heard: Millis,
    /// It does nothing any more.
    pub(crate) dead: bool,
}

/// A call that a host is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Doing {
    pub(crate) host: u8,
    pub(crate) call: CallId,
    pub(crate) kind: CallKind,
    pub(crate) generation: Generation,
    /// What the target answered, and the journal has; the call's end is not on record yet.
    pub(crate) answered: Option<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) secret: Secret,
    pub(crate) target: Target,
    /// What the leader's clock reads.
    pub(crate) now: Millis,
    /// What has truly passed, by a clock that nobody sets. The target's dates are of this one.
    pub(crate) passed: Millis,
    pub(crate) leader: u8,
    pub(crate) doing: Vec<Doing>,
    pub(crate) wire: Vec<Request>,
    /// Answers on their way back.
    pub(crate) replies: BTreeMap<CallId, Outcome>,
    /// What the journal has of calls whose end it has not.
    pub(crate) recorded: BTreeMap<CallId, Outcome>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) trouble: u8,
    pub(crate) rotations: u8,
    pub(crate) overridden: bool,
    /// So many replicas are expected, whatever their names.
    pub(crate) counted: bool,
    /// Generations that have been in use.
    pub(crate) used: BTreeSet<Generation>,
    /// Names of broken invariants.
    pub(crate) broken: BTreeSet<&'static str>,
    pub(crate) endings: BTreeSet<&'static str>,
    /// The journal as a backup has it.
    pub(crate) backup: Option<Box<Secret>>,
    /// Generations that were not current when the journal was restored: nobody knows who uses them.
    pub(crate) doubtful: BTreeSet<Generation>,
    pub(crate) restored: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// Decide, and carry it out to its end without trouble.
    Do,
    /// Decide, put the intent on record, and die.
    DieAfterIntent,
    /// Decide, put the intent and what is sent on record; the request is on its way.
    Send,
    Land(CallId),
    LoseRequest(CallId),
    /// The answer comes, and is on record; its caller has not said how the call ended.
    Answer(CallId),
    End(CallId),
    GiveUp(CallId),
    Fail(FailureClass),
    /// The target answers and refuses: nothing has changed there, but the host cannot know.
    Refuse,
    /// The host is gone with all it was doing; another takes over.
    Crash,
    /// Another host takes over while this one lives.
    Takeover,
    Tick,
    /// The leader's clock is set, ahead or back, while it runs.
    Step(i64),
    /// The host is gone, and the clock of the one that takes over reads something else.
    CrashAndStep(i64),
    Consume(usize),
    Restart(usize),
    Die(usize),
    /// Somebody fetches and speaks under a name that is nobody's.
    Invent,
    LieReady(usize),
    LieAdopted(usize),
    Cry(usize),
    CannotUse(usize),
    Foreign,
    /// Somebody else sets a password in a slot.
    Occupy(Slot),
    Rollback,
    Revert,
    Abandon,
    Release,
    Override,
    Compromise(Generation, bool),
    Freeze,
    Thaw,
    Next,
    Retire,
    /// The journal is copied.
    Backup,
    /// The copy becomes the journal; target, consumers and what is on the wire stay as they are.
    Restore,
    Reconcile,
    AcceptLost,
}

impl World {
    pub(crate) fn profile(&self) -> &Profile {
        &self.secret.pins().expect("a rotation has started").profile
    }

    pub(crate) fn one_slot(&self) -> bool {
        self.profile().overlap == Overlap::None
    }

    pub(crate) fn record(&mut self, event: &Event) {
        if matches!(event, Event::Committed) {
            self.judge_commit();
        }
        self.secret.record(self.now, event).unwrap_or_else(|illegal| panic!("{illegal}: {event:?}"));
        self.used.extend(self.secret.current());
        if let Event::Finished { ending, .. } = event {
            self.endings.insert(ending.name());
        }
    }

    pub(crate) fn command(&mut self, command: &Command) -> bool {
        let Ok(events) = admit(&self.secret, command, self.now) else { return false };
        events.iter().for_each(|event| self.record(event));
        self.meet_lives();
        true
    }

    /// A new life is known once it has shown itself; what the last one said is gone with it, and so is what it was only
    /// offered: that was in its memory, while what it used may lie on a disk.
    fn meet_lives(&mut self) {
        for workload in &mut self.workloads {
            let key = (id(CONSUMER), workload.replica.clone());
            let life = format!("life-{}", workload.life);
            let shown = self.secret.replicas().get(&key).is_some_and(|it| it.incarnation.as_str() == life);
            if shown && workload.known_life != workload.life {
                workload.known_life = workload.life;
                workload.said.clear();
                workload.holds.retain(|generation, _| self.used.contains(generation));
            }
        }
    }

    /// Decides, and checks the decision against what the world knows.
    pub(crate) fn decision(&mut self) -> Action {
        let action = decide(&self.secret, self.now);
        if let Action::Call(call) = &action {
            self.judge(call);
        }
        action
    }

    /// Invariants about intents, by the world's own account rather than the protocol's.
    fn judge(&mut self, call: &Call) {
        let ends = matches!(call.kind, CallKind::Disable | CallKind::Destroy);
        let rotation = self.secret.rotation();
        let own = rotation.is_some_and(|rotation| rotation.id == call.rotation);
        if call.kind.mutates() && !ends && !own {
            self.broken.insert("8: a finished rotation mutates");
        }
        let credential = self.secret.generation(call.generation);
        let sealed = credential.is_some_and(|it| it.minted.is_some());
        if call.kind == CallKind::Install && !sealed {
            self.broken.insert("4: a handle is rendered before it is sealed");
        }
        let overwrites = call.kind == CallKind::Install
            && self.one_slot()
            && rotation.is_some_and(|it| it.kind == PlanKind::Rotate && it.made == call.generation);
        let excused = self.overridden
            || self.secret.generations().values().any(|it| it.compromised.is_some())
            || rotation.is_some_and(|rotation| rotation.reverted);
        if call.orphan.is_none() && !excused {
            let released = |it: &Workload| {
                let gone = it.said.contains(&(Purpose::Released, call.generation));
                let lapsed = it.holds.get(&call.generation).is_none_or(|at| at.plus(LEASE_MS) <= self.passed);
                gone || lapsed
            };
            let switched = |it: &Workload| {
                it.said.iter().any(|(purpose, other)| *purpose == Purpose::Adopted && *other != call.generation)
            };
            let lets_go = |it: &Workload| it.said.contains(&(Purpose::Released, call.generation));
            let ready = |it: &Workload| it.said.contains(&(Purpose::Ready, call.generation));
            // What is on record lags behind by a share of the lease.
            let silent = |it: &Workload| it.heard.plus(LEASE_MS - LEASE_MS / 4) <= self.now;
            let old = if overwrites { self.secret.previous().or(self.secret.current()) } else { Some(call.generation) };
            let free = |it: &Workload| silent(it) || !old.is_some_and(|old| it.holds.contains_key(&old));
            let retires = rotation.is_some_and(|rotation| rotation.kind == PlanKind::Retire);
            let in_use = self.secret.current() == Some(call.generation);
            let was_used = self.used.contains(&call.generation);
            let heard = |it: &Workload| {
                let current = self.secret.current();
                let moved = current.is_some_and(|current| it.said.contains(&(Purpose::Adopted, current)));
                moved || it.said.contains(&(Purpose::Released, call.generation))
            };
            let doubtful = self.doubtful.contains(&call.generation) && !in_use;
            let used_now = self.workloads.iter().any(|it| it.uses == Some(call.generation));
            if ends && self.restored && used_now && self.target.valid(&self.secret, call.generation) && !retires {
                self.broken.insert("a restore ends what works and is used");
            }
            let holds = match (ends, overwrites) {
                (true, _) if doubtful => self.workloads.iter().all(heard),
                // Of those who are counted, whoever holds it on record: no other name stands in for it.
                (true, _) if self.counted && was_used => self.workloads.iter().all(|it| free(it) || switched(it)),
                (_, true) if self.counted => self.workloads.iter().all(|it| free(it) || ready(it)),
                (true, _) if retires && in_use => self.workloads.iter().all(lets_go),
                (true, _) if was_used && self.secret.current().is_none() => self.workloads.iter().all(lets_go),
                (true, _) if was_used => self.workloads.iter().all(switched),
                (true, _) => self.workloads.iter().all(released),
                (_, true) => self.workloads.iter().all(ready),
                _ => true,
            };
            if !holds {
                self.broken.insert("2: a credential ends without evidence");
            }
        }
    }

    /// Pending becomes current once everyone said that it is ready for it, unless somebody answers for it.
    fn judge_commit(&mut self) {
        let rotation = self.secret.rotation().expect("a rotation runs");
        let excused = self.overridden || self.secret.generations().values().any(|it| it.compromised.is_some());
        let ready = (Purpose::Ready, rotation.made);
        // With one slot everyone's readiness is asked for before the install.
        if self.one_slot() {
            return;
        }
        if rotation.kind == PlanKind::Rotate
            && !excused
            && !self.counted
            && !self.workloads.iter().all(|it| it.said.contains(&ready))
        {
            self.broken.insert("2: pending becomes current before everyone is ready");
        }
    }

    /// The intent of a call, on record.
    fn intend(&mut self, call: &Call) {
        self.record(&call.intent());
        self.doing.push(Doing {
            host: self.leader,
            call: call.call,
            kind: call.kind,
            generation: call.generation,
            answered: call.resumes.iter().find_map(|old| self.recorded.get(old).cloned()),
        });
    }

    pub(crate) fn local(&self, kind: CallKind) -> bool {
        !kind.mutates() || (kind == CallKind::Create && self.profile().minter == Minter::Host)
    }

    /// Decides once more and carries it out.
    pub(crate) fn act(&mut self) -> bool {
        match self.decision() {
            Action::Record(events) => events.iter().for_each(|event| self.record(event)),
            Action::Call(call) => {
                let resumed = call.resumes.iter().any(|old| self.recorded.contains_key(old));
                self.intend(&call);
                if !resumed && !self.local(call.kind) {
                    self.send(&call);
                    self.land(call.call);
                    self.answer(call.call);
                }
                self.end(call.call);
            }
            Action::Wait { .. } | Action::Idle => return false,
        }
        true
    }

    pub(crate) fn begin(&mut self, sends: bool) -> bool {
        let Action::Call(call) = self.decision() else { return false };
        let resumed = call.resumes.iter().any(|old| self.recorded.contains_key(old));
        if sends && (resumed || self.local(call.kind)) {
            return false;
        }
        self.intend(&call);
        if sends {
            self.send(&call);
        }
        true
    }

    fn send(&mut self, call: &Call) {
        let deadline = self.now.plus(CALL_MS);
        let request = keybaton_protocol::ids::Digest([9; 32]);
        self.record(&Event::Sent { call: call.call, ordinal: Ordinal(0), request, deadline });
        let request = Request::of(call, &self.secret, self.passed.plus(CALL_MS));
        self.wire.push(request);
    }

    pub(crate) fn land(&mut self, call: CallId) {
        let at = self.wire.iter().position(|request| request.call == call).expect("it is on its way");
        let request = self.wire.remove(at);
        let profile = self.profile().clone();
        if self.target.harms_a_stranger(&request) {
            self.broken.insert("3: what was never ours is ended");
        }
        let before = self.secret.current().filter(|current| self.target.valid(&self.secret, *current));
        let held = self.target.slots.get(&request.slot).filter(|held| held.active).and_then(|held| held.generation);
        let used = held.filter(|held| self.workloads.iter().any(|it| it.uses == Some(*held)));
        let outcome = self.target.land(&request, &profile.overlap, profile.minter, self.passed);
        let gone = used.is_some_and(|used| !self.target.valid(&self.secret, used));
        if self.restored && gone && request.kind == CallKind::Install && !self.one_slot() && !self.overridden {
            self.broken.insert("a restore lets a slot in use be overwritten");
        }
        let lost = before.is_some_and(|current| !self.target.valid(&self.secret, current));
        if lost && !self.may_lose_current() {
            self.broken.insert("1: the current credential is made invalid");
        }
        self.replies.insert(call, outcome);
    }

    /// One slot, or a secret that ends, or one that others know.
    fn may_lose_current(&self) -> bool {
        let current = self.secret.current().and_then(|it| self.secret.generation(it));
        let retires = self.secret.rotation().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
        self.one_slot() || retires || current.is_some_and(|it| it.compromised.is_some())
    }

    pub(crate) fn answer(&mut self, call: CallId) {
        let outcome = self.replies.remove(&call).expect("it has landed");
        let request = keybaton_protocol::ids::Digest([9; 32]);
        self.record(&Event::Answered { call, ordinal: Ordinal(0), request, answer: HostAnswer::Answered });
        self.recorded.insert(call, outcome.clone());
        if let Some(doing) = self.doing.iter_mut().find(|doing| doing.call == call) {
            doing.answered = Some(outcome);
        }
    }

    pub(crate) fn end(&mut self, call: CallId) {
        let at = self.doing.iter().position(|doing| doing.call == call).expect("a host is at it");
        let doing = self.doing.remove(at);
        let outcome = doing.answered.unwrap_or_else(|| match doing.kind {
            CallKind::Observe => Outcome::Observed { began_at: self.now, live: self.target.list() },
            CallKind::Verify if self.target.valid(&self.secret, doing.generation) => Outcome::Works,
            CallKind::Verify => {
                let slot = self.secret.generation(doing.generation).and_then(|it| it.slot.clone());
                if let Some(held) = self.target.slots.get_mut(&slot).filter(|held| held.generation.is_none()) {
                    held.refused = true;
                }
                Outcome::Refused("login refused".to_owned())
            }
            _ => Outcome::Created(self.target.own(doing.generation)),
        });
        self.record(&Event::Ended { call, outcome });
    }

    pub(crate) fn give_up(&mut self, call: CallId) {
        self.doing.retain(|doing| doing.call != call);
        self.replies.remove(&call);
        let request = keybaton_protocol::ids::Digest([9; 32]);
        self.record(&Event::Answered { call, ordinal: Ordinal(0), request, answer: HostAnswer::Lost });
        self.record(&Event::Ended { call, outcome: fault(FailureClass::Ambiguous) });
    }

    pub(crate) fn fail(&mut self, class: FailureClass) -> bool {
        let Action::Call(call) = self.decision() else { return false };
        self.intend(&call);
        self.doing.retain(|doing| doing.call != call.call);
        self.record(&Event::Ended { call: call.call, outcome: fault(class) });
        true
    }

    /// Another host holds the lease, and finds calls that it is not at.
    pub(crate) fn takeover(&mut self, dies: bool) {
        let old = self.leader;
        if dies {
            self.doing.retain(|doing| doing.host != old);
            let doing: BTreeSet<_> = self.doing.iter().map(|doing| doing.call).collect();
            self.replies.retain(|call, _| doing.contains(call));
        }
        self.leader = 1 - old;
        self.record(&Event::ClockResumed);
        let leader = self.leader;
        let mine: Vec<_> = self.doing.iter().filter(|doing| doing.host == leader).map(|doing| doing.call).collect();
        let lost: Vec<_> = self.secret.running_calls().filter(|call| !mine.contains(call)).collect();
        lost.into_iter().for_each(|call| self.record(&Event::Interrupted { call }));
    }

    /// The clock is set; the process that measures the time says so.
    pub(crate) fn step(&mut self, by_ms: i64) {
        self.now = self.now.shifted(by_ms);
        self.record(&Event::ClockStepped { by_ms });
    }

    /// The host is gone, and the next one's clock is another. It knows of that only where it is behind the journal's.
    pub(crate) fn crash_and_step(&mut self, by_ms: i64) {
        self.now = self.now.shifted(by_ms);
        let behind_ms = self.secret.clock().since(self.now);
        if behind_ms > 0 {
            let by_ms = i64::try_from(behind_ms).expect("a step of the model").saturating_neg();
            self.record(&Event::ClockStepped { by_ms });
        }
        self.takeover(true);
    }

    pub(crate) fn tick(&mut self) -> bool {
        match decide(&self.secret, self.now) {
            Action::Wait { until: Some(until), .. } if until > self.now => {
                let passed = self.passed.plus(until.since(self.now));
                (self.now, self.passed) = (until, passed);
                self.wire.retain(|request| request.deadline >= passed);
                true
            }
            _ => false,
        }
    }

    fn life(&self, at: usize) -> Incarnation {
        id(&format!("life-{}", self.workloads[at].life))
    }

    /// The replica fetches what it is offered and answers what it is asked, truthfully.
    pub(crate) fn consume(&mut self, at: usize) {
        if self.counted {
            self.workloads[at].heard = self.now;
        }
        let replica = self.workloads[at].replica.clone();
        let told = offer(&self.secret, &id(CONSUMER), &replica, self.now);
        for offered in &told.generations {
            let generation = offered.generation;
            let incarnation = self.life(at);
            let fetch = Command::Fetch { consumer: id(CONSUMER), replica: replica.clone(), incarnation, generation };
            if self.command(&fetch) {
                let now = self.passed;
                let workload = &mut self.workloads[at];
                workload.said.remove(&(Purpose::Released, generation));
                let fetched = self.secret.replicas().get(&(id(CONSUMER), replica.clone()));
                if fetched.is_some_and(|state| state.fetched.contains_key(&generation)) {
                    workload.holds.entry(generation).or_insert(now);
                }
                if !offered.fields.iter().all(|(_, label)| !label.as_str().is_empty()) {
                    self.broken.insert("4: a secret is offered before it is sealed");
                }
            }
        }
        // What a replica truly uses, and the restored journal takes for pending.
        if let Some(uses) = self.workloads[at].uses.filter(|uses| self.restored && self.secret.pending() == Some(*uses))
            && self.target.valid(&self.secret, uses)
        {
            self.say(at, Purpose::Adopted, uses);
        }
        for ask in &told.asked {
            let works = self.target.valid(&self.secret, ask.generation);
            let holds = self.workloads[at].holds.contains_key(&ask.generation);
            match ask.purpose {
                Purpose::Ready if holds && (works || self.one_slot()) => self.say(at, Purpose::Ready, ask.generation),
                Purpose::Adopted if works && holds => {
                    self.workloads[at].uses = Some(ask.generation);
                    self.say(at, Purpose::Adopted, ask.generation);
                }
                Purpose::Released | Purpose::Dropped => {
                    let workload = &mut self.workloads[at];
                    workload.holds.remove(&ask.generation);
                    workload.uses = workload.uses.filter(|uses| *uses != ask.generation);
                    self.say(at, ask.purpose, ask.generation);
                }
                _ => {}
            }
        }
    }

    /// A name that is nobody's fetches what it is offered, and says whatever is asked of it.
    pub(crate) fn invent(&mut self) {
        let (replica, incarnation) = (id("ghost"), id::<Incarnation>("life-1"));
        let told = offer(&self.secret, &id(CONSUMER), &replica, self.now);
        for offered in &told.generations {
            let (replica, incarnation) = (replica.clone(), incarnation.clone());
            let generation = offered.generation;
            self.command(&Command::Fetch { consumer: id(CONSUMER), replica, incarnation, generation });
        }
        for ask in offer(&self.secret, &id(CONSUMER), &replica, self.now).asked {
            let word = evidence(CONSUMER, "ghost", ask.purpose, ask.generation.0, EvidenceKind::Process);
            self.command(&Command::State(word));
        }
    }

    pub(crate) fn say(&mut self, at: usize, purpose: Purpose, generation: Generation) {
        let kind = if purpose == Purpose::Adopted { EvidenceKind::Process } else { EvidenceKind::Holder };
        let mut word = evidence(CONSUMER, self.workloads[at].replica.as_str(), purpose, generation.0, kind);
        word.incarnation = self.life(at);
        if !self.command(&Command::State(word)) {
            return;
        }
        let said = &mut self.workloads[at].said;
        match purpose {
            Purpose::Adopted => said.retain(|(purpose, _)| *purpose != Purpose::Adopted),
            Purpose::Cry | Purpose::Failed => said.retain(|(_, about)| *about != generation),
            _ => {}
        }
        said.insert((purpose, generation));
    }

    /// A new life, on the oldest material that it finds.
    pub(crate) fn restart(&mut self, at: usize) {
        let workload = &mut self.workloads[at];
        workload.life += 1;
        workload.dead = false;
        workload.heard = if self.counted { self.now } else { workload.heard };
        workload.uses = workload.holds.keys().next().copied();
        let held = workload.uses;
        let replica = workload.replica.clone();
        let incarnation = self.life(at);
        if let Some(generation) = held {
            let fetch = Command::Fetch { consumer: id(CONSUMER), replica, incarnation, generation };
            self.command(&fetch);
        }
    }

    pub(crate) fn backup(&mut self) -> bool {
        let first = self.backup.is_none() && !self.restored;
        if first {
            self.backup = Some(Box::new(self.secret.clone()));
        }
        first
    }

    /// The host is gone with what it was doing. What it had sent may land yet, and nobody hears of it.
    pub(crate) fn restore(&mut self) -> bool {
        let Some(backup) = self.backup.take() else { return false };
        self.secret = *backup;
        self.restored = true;
        self.doing.clear();
        self.replies.clear();
        self.recorded.clear();
        self.wire.iter_mut().for_each(|request| request.call.0 += 1_000);
        self.workloads.iter_mut().for_each(|workload| workload.said.clear());
        let (current, all) = (self.secret.current(), self.secret.generations().keys().copied());
        self.doubtful = all.filter(|it| Some(*it) != current).collect();
        self.command(&Command::Restore { epoch: Epoch(1) })
    }

    /// A number past all that consumers hold. Past all that the target holds, too: a number is a value in this model.
    pub(crate) fn next_number(&self) -> Generation {
        let held = self.workloads.iter().flat_map(|it| it.holds.keys().copied());
        let slots = self.target.slots.values().chain(self.target.ids.values()).filter_map(|held| held.generation);
        let sent = self.wire.iter().map(|request| request.generation);
        Generation(held.chain(slots).chain(sent).map(|it| it.0).max().unwrap_or(0) + 1)
    }

    pub(crate) fn foreign(&mut self) {
        let held = Held::of(None, self.passed);
        self.target.ids.insert(id("foreign"), held);
    }

    /// Somebody else sets a password in a slot that current is not in.
    pub(crate) fn occupy(&mut self, slot: &Slot) {
        let took = self.target.slots.get(&Some(slot.clone())).and_then(|held| held.generation);
        let held = Held { took, ..Held::of(None, self.now) };
        self.target.slots.insert(Some(slot.clone()), held);
    }

    /// Slots that another could take: all but the one in use.
    pub(crate) fn free_slots(&self) -> Vec<Slot> {
        let Overlap::Alternate(slots) = &self.profile().overlap else { return Vec::new() };
        let current = self.secret.current().and_then(|it| self.secret.generation(it)).and_then(|it| it.slot.as_ref());
        let taken =
            |slot: &Slot| self.target.slots.get(&Some(slot.clone())).is_some_and(|held| held.generation.is_none());
        slots.iter().filter(|slot| Some(*slot) != current && !taken(slot)).cloned().collect()
    }

    /// Whether a stranger has taken the slot that a generation should be in.
    pub(crate) fn displaced(&self, generation: Generation) -> bool {
        let slot = self.secret.generation(generation).and_then(|it| it.slot.clone());
        slot.is_some() && self.target.slots.get(&slot).is_some_and(|held| held.generation.is_none())
    }

    /// The target answers, refuses, and has changed nothing.
    pub(crate) fn refuse(&mut self) -> bool {
        let Action::Call(call) = self.decision() else { return false };
        if self.local(call.kind) {
            return false;
        }
        self.intend(&call);
        self.send(&call);
        self.wire.retain(|request| request.call != call.call);
        let request = keybaton_protocol::ids::Digest([9; 32]);
        let (call, answer) = (call.call, HostAnswer::Answered);
        self.record(&Event::Answered { call, ordinal: Ordinal(0), request, answer });
        self.doing.retain(|doing| doing.call != call);
        self.record(&Event::Ended { call, outcome: fault(FailureClass::Permanent) });
        true
    }

    pub(crate) fn start(&mut self, kind: PlanKind) -> bool {
        let last = self.secret.pins().expect("a rotation has started");
        let pins = pins(last.profile.clone(), last.policy.clone());
        let rotation = id(&format!("r{}", self.rotations + 1));
        let start = Command::Start { rotation, kind, cause: "operator".to_owned(), author: author(), pins };
        let started = self.command(&start);
        self.rotations += u8::from(started);
        started
    }
}

/// How long a request may take effect, in milliseconds.
pub(crate) const CALL_MS: u64 = 10;
/// The staged lease, in milliseconds.
pub(crate) const LEASE_MS: u64 = 40;
