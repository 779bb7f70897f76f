//! What every journal must do: append, fence, lease, seal, answer, index, and tell what moved. Secrets of the suite are
//! named `conformance/…`.

use super::{AT, Kind, MINUTE_MS, Place, parsed, works};
use keybaton_engine::ports::journal::{Append, Journal, JournalError, Lease, Mark, Part, Recorded, Reply, Wanted};
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_protocol::Secret;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{
    CallId, Digest, Fence, Generation, OperationId, Ordinal, Place as TargetPlace, SecretName, Seq,
};
use keybaton_protocol::step::{CallKind, Step};

macro_rules! sentences {
    (one host: $($of_one:ident),+ ; two hosts: $($of_two:ident),+ $(,)?) => {
        /// Holds a journal to every sentence here, each on a place of its own.
        ///
        /// # Panics
        /// At the first thing that does not hold.
        pub async fn check<P: Place>(new: impl Fn() -> P)
        where
            P::Store: Journal,
        {
            $({
                let place = new();
                $of_one(place.host(0)).await;
                place.end().await;
            })+
            $({
                let mut place = new();
                $of_two(&mut place).await;
                place.end().await;
            })+
        }
    };
}

sentences!(
    one host:
    appends_and_reads,
    reads_in_pages,
    reads_from_the_newest_record_at_rest,
    refuses_decisions_on_old_state,
    refuses_decisions_under_old_fences,
    leases_are_exclusive_and_expire,
    seals_and_erases,
    refuses_another_value_under_a_label,
    answers_with_replies,
    keeps_the_index,
    tells_what_moved,
    appends_of_many_secrets_do_not_disturb_each_other;
    two hosts:
    of_many_decisions_on_one_state_one_is_taken_and_both_hosts_read_it,
    of_two_holders_who_take_a_free_lease_one_gets_it,
    what_one_host_appended_the_other_hears_of_and_a_restart_keeps,
    an_edited_journal_is_damage_and_the_others_go_on,
);

/// A name in the suite's own namespace.
pub(super) fn secret(name: &str) -> SecretName {
    parsed(&format!("conformance/{name}"))
}

/// An append of facts.
pub(super) fn facts(name: &str, events: Vec<Event>) -> Append {
    Append {
        secret: secret(name),
        after: None,
        fence: None,
        at: AT,
        events,
        seals: Vec::new(),
        replies: Vec::new(),
        erase: Vec::new(),
        mark: None,
    }
}

pub(super) fn wave(wave: u32) -> Event {
    Event::WaveOpened { wave }
}

pub(super) fn seal(label: &str, value: &[u8]) -> Seal {
    Seal { label: parsed(label), bytes: SecretBytes::new(value.to_vec()) }
}

pub(super) async fn append(journal: &dyn Journal, append: Append) -> Seq {
    journal.append(append).await.unwrap_or_else(|error| panic!("a legal append is taken: {error}"))
}

pub(super) async fn read(journal: &dyn Journal, name: &str, after: u64) -> Vec<Recorded> {
    let found = journal.read(&secret(name), Seq(after)).await;
    found.unwrap_or_else(|error| panic!("what was appended can be read: {error}"))
}

async fn lease(journal: &dyn Journal, name: &str, holder: &str, for_ms: u64) -> Result<Lease, JournalError> {
    journal.lease(&secret(name), holder, for_ms).await
}

async fn leased(journal: &dyn Journal, name: &str, holder: &str, for_ms: u64) -> Lease {
    let lease = lease(journal, name, holder, for_ms).await;
    lease.unwrap_or_else(|error| panic!("a free lease can be taken, and one's own renewed: {error}"))
}

async fn appends_and_reads(journal: &dyn Journal) {
    assert!(read(journal, "reads", 0).await.is_empty(), "a secret nobody wrote of has no events");
    assert_eq!(append(journal, facts("reads", vec![wave(0), wave(1)])).await, Seq(2), "sequences count up from 1");
    assert_eq!(append(journal, facts("reads", vec![wave(2)])).await, Seq(3), "the next append goes on");
    let recorded = |number: u32| Recorded { seq: Seq(u64::from(number) + 1), at: AT, event: wave(number) };
    assert_eq!(read(journal, "reads", 0).await, (0..3).map(recorded).collect::<Vec<_>>(), "all events, in order");
    assert_eq!(read(journal, "reads", 2).await, vec![recorded(2)], "only events after the given one");
    assert!(read(journal, "reads", 3).await.is_empty(), "nothing comes after the last one");
    assert_eq!(append(journal, facts("reads", Vec::new())).await, Seq(3), "an empty append changes nothing");
}

async fn reads_in_pages(journal: &dyn Journal) {
    for first in [0, 3, 4] {
        let events = (first..if first == 0 { 3 } else { first + 1 }).map(wave).collect();
        append(journal, facts("pages", events)).await;
    }
    let name = secret("pages");
    let page = |part, limit| {
        let name = &name;
        async move {
            let found = journal.page(name, part, limit).await;
            let found = found.unwrap_or_else(|error| panic!("what was appended can be read in pages: {error}"));
            found.iter().map(|recorded| recorded.seq.0).collect::<Vec<_>>()
        }
    };
    let (after, before) = (|seq| Part::After(Seq(seq)), |seq| Part::Before(Some(Seq(seq))));
    let cases: [(Part, usize, &[u64]); 9] = [
        (after(0), 2, &[1, 2]),
        (after(2), 2, &[3, 4]),
        (after(4), 2, &[5]),
        (after(5), 2, &[]),
        (after(0), 9, &[1, 2, 3, 4, 5]),
        (Part::Before(None), 2, &[4, 5]),
        (before(4), 2, &[2, 3]),
        (before(2), 2, &[1]),
        (before(9), 9, &[1, 2, 3, 4, 5]),
    ];
    for (part, limit, seqs) in cases {
        assert_eq!(page(part, limit).await, seqs, "{part:?}, at most {limit}");
    }
    let none = journal.page(&secret("nobody"), Part::Before(None), 2).await;
    assert!(none.is_ok_and(|none| none.is_empty()), "a secret nobody wrote of has no pages");
}

async fn reads_from_the_newest_record_at_rest(journal: &dyn Journal) {
    let name = secret("rests");
    let rest = || {
        let settled = Secret::new(secret("rests")).as_settled(AT);
        Event::Settled(Box::new(settled.unwrap_or_else(|| panic!("a secret that never began is at rest"))))
    };
    let read = || async {
        let found = journal.read_settled(&name).await;
        let found = found.unwrap_or_else(|error| panic!("what was appended can be read: {error}"));
        found.into_iter().map(|recorded| (recorded.seq.0, recorded.event)).collect::<Vec<_>>()
    };
    assert_eq!(read().await, [], "a secret nobody wrote of has no events");
    append(journal, facts("rests", vec![wave(0), wave(1)])).await;
    assert_eq!(read().await, [(1, wave(0)), (2, wave(1))], "all events, where none says that it was at rest");
    append(journal, facts("rests", vec![wave(2), rest()])).await;
    assert_eq!(read().await, [(4, rest())], "nothing before the record, also of its own write");
    append(journal, facts("rests", vec![wave(4)])).await;
    append(journal, facts("rests", vec![rest(), wave(6)])).await;
    append(journal, facts("rests", vec![wave(7)])).await;
    assert_eq!(read().await, [(6, rest()), (7, wave(6)), (8, wave(7))], "the newest one, and all after it");
}

async fn refuses_decisions_on_old_state(journal: &dyn Journal) {
    let decided = |after: u64| Append { after: Some(Seq(after)), ..facts("conflicts", vec![wave(9)]) };
    append(journal, decided(0)).await;
    let outcome = journal.append(decided(0)).await;
    assert!(
        matches!(outcome, Err(JournalError::Conflict { at: Seq(1), .. })),
        "a decision on old state is refused, and told where the journal stands: {outcome:?}"
    );
    let ahead = journal.append(decided(7)).await;
    assert!(matches!(ahead, Err(JournalError::Conflict { at: Seq(1), .. })), "so is one on a state that never was");
    append(journal, decided(1)).await;
    append(journal, facts("conflicts", vec![wave(3)])).await;
    assert_eq!(read(journal, "conflicts", 0).await.len(), 3, "of the refused ones nothing was kept");
}

async fn refuses_decisions_under_old_fences(journal: &dyn Journal) {
    let decided = |fence: Fence| Append { fence: Some(fence), ..facts("fences", vec![wave(1)]) };
    let unknown = journal.append(decided(Fence(1))).await;
    assert!(matches!(unknown, Err(JournalError::Fenced { .. })), "a fence that nobody was given is refused");
    let first = leased(journal, "fences", "one", 0).await;
    append(journal, decided(first.fence)).await;
    let second = leased(journal, "fences", "two", MINUTE_MS).await;
    assert!(second.fence > first.fence, "a new holder gets a higher fence");
    let stale = journal.append(decided(first.fence)).await;
    assert!(matches!(stale, Err(JournalError::Fenced { .. })), "the old holder decides nothing more");
    append(journal, facts("fences", vec![wave(2)])).await;
    append(journal, decided(second.fence)).await;
    assert_eq!(read(journal, "fences", 0).await.len(), 3, "facts are accepted under any fence");
}

async fn leases_are_exclusive_and_expire(journal: &dyn Journal) {
    let first = leased(journal, "leases", "one", MINUTE_MS).await;
    let other = lease(journal, "leases", "two", MINUTE_MS).await;
    assert!(matches!(other, Err(JournalError::Fenced { .. })), "a lease that runs is nobody else's");
    let renewed = leased(journal, "leases", "one", 2 * MINUTE_MS).await;
    assert_eq!(renewed.fence, first.fence, "a renewal keeps the fence");
    assert!(renewed.until > first.until, "and moves the end");
    let given_up = leased(journal, "leases", "one", 0).await;
    assert!(given_up.until <= renewed.until, "a lease can be given up by renewing it for no time");
    let taken = leased(journal, "leases", "two", MINUTE_MS).await;
    assert!(taken.fence > first.fence, "then somebody else can take it, under a higher fence");
}

async fn seals_and_erases(journal: &dyn Journal) {
    let name = secret("seals");
    let (one, two) = (Generation(1), Generation(2));
    let mut sealing = facts("seals", vec![Event::Staged]);
    sealing.seals =
        vec![(one, seal("password", b"first")), (two, seal("password", b"second")), (one, seal("pin", b""))];
    append(journal, sealing).await;
    for (generation, label, value) in
        [(one, "password", &b"first"[..]), (two, "password", b"second"), (one, "pin", b"")]
    {
        let found = unseal(journal, &name, generation, label).await;
        let found = found.unwrap_or_else(|error| panic!("a sealed value opens: {error}"));
        assert_eq!(found.expose(), value, "as it was sealed");
    }
    for (generation, label) in [(one, "other"), (Generation(3), "password")] {
        let missing = unseal(journal, &name, generation, label).await;
        assert!(matches!(missing, Err(JournalError::NoSeal { .. })), "{label} of {generation:?} was never sealed");
    }
    let salt = |generation| async move { salt(journal, &secret("seals"), generation).await };
    let salts = [salt(one).await, salt(one).await, salt(two).await];
    let [first, again, second] = salts.map(|salt| salt.unwrap_or_else(|error| panic!("there is a salt: {error}")));
    assert_eq!(first.expose().len(), 32, "a salt has 32 bytes");
    assert_eq!(first.expose(), again.expose(), "and stays");
    assert_ne!(first.expose(), second.expose(), "each generation has its own");
    let mut erasing = facts("seals", vec![Event::Erased { generation: one }]);
    erasing.erase = vec![one];
    append(journal, erasing).await;
    let gone = unseal(journal, &name, one, "password").await;
    assert!(matches!(gone, Err(JournalError::NoSeal { .. })), "what is erased does not open: {gone:?}");
    let gone = salt(one).await;
    assert!(matches!(gone, Err(JournalError::NoSeal { .. })), "nor does its salt: {gone:?}");
    assert!(unseal(journal, &name, two, "password").await.is_ok(), "other generations stay");
}

async fn refuses_another_value_under_a_label(journal: &dyn Journal) {
    let sealing = |value: &[u8]| {
        let mut append = facts("labels", vec![Event::Staged]);
        append.seals = vec![(Generation(1), seal("password", value))];
        append
    };
    append(journal, sealing(b"kept")).await;
    append(journal, sealing(b"kept")).await;
    let other = journal.append(sealing(b"other")).await;
    assert!(matches!(other, Err(JournalError::Unavailable { .. })), "a sealed value is never overwritten: {other:?}");
    let found = unseal(journal, &secret("labels"), Generation(1), "password").await;
    let found = found.unwrap_or_else(|error| panic!("the first value stays: {error}"));
    assert_eq!(found.expose(), b"kept");
    assert_eq!(read(journal, "labels", 0).await.len(), 2, "the events of the refused append are not kept either");
}

async fn answers_with_replies(journal: &dyn Journal) {
    let reply = |call: u32, ordinal: u32, body: &[u8]| Reply {
        call: CallId(call),
        ordinal: Ordinal(ordinal),
        request: Digest([7; 32]),
        body: body.to_vec(),
    };
    for call in 1..=2 {
        append(journal, facts("replies", vec![intended(call)])).await;
        for ordinal in (0..3).rev() {
            let mut answered = facts("replies", Vec::new());
            answered.replies = vec![reply(call, ordinal, &[0xff, u8::try_from(call).unwrap_or(0)])];
            append(journal, answered).await;
        }
    }
    for call in 1..=2u8 {
        let found = journal.replies(&secret("replies"), CallId(u32::from(call))).await;
        let found = found.unwrap_or_else(|error| panic!("replies can be read: {error}"));
        let expected: Vec<Reply> = (0..3).map(|ordinal| reply(u32::from(call), ordinal, &[0xff, call])).collect();
        assert_eq!(found, expected, "the replies of one call, by ordinal");
    }
    assert_eq!(read(journal, "replies", 0).await.len(), 2, "replies take no sequence");
}

fn intended(call: u32) -> Event {
    Event::Intended {
        call: CallId(call),
        kind: CallKind::Create,
        generation: Generation(1),
        place: TargetPlace::only(),
        attempt: 1,
        operation: parsed::<OperationId>("r/create/1/-"),
        baseline: Vec::new(),
        step: Step::Create,
        id: None,
        resumes: Vec::new(),
    }
}

async fn keeps_the_index(journal: &dyn Journal) {
    let line = |name: &'static str| async move {
        let index = journal.index().await.unwrap_or_else(|error| panic!("the index can be read: {error}"));
        index.into_iter().find(|line| line.secret == secret(name)).map(|line| (line.seq, line.mark))
    };
    assert_eq!(line("index").await, None, "a secret nobody wrote of is not in the index");
    append(journal, facts("index", vec![wave(0)])).await;
    assert_eq!(line("index").await, Some((Seq(1), Mark { open: true, ..Mark::default() })), "it begins open");
    let mark = Mark { failures: 3, rotated_at: Some(AT), spec: Some(Digest([9; 32])), ..Mark::default() };
    append(journal, Append { mark: Some(mark), ..facts("index", vec![wave(1)]) }).await;
    append(journal, facts("index", vec![wave(2)])).await;
    assert_eq!(line("index").await, Some((Seq(3), mark)), "a mark stays until the next one");
    append(journal, Append { mark: Some(Mark::default()), ..facts("index", Vec::new()) }).await;
    assert_eq!(line("index").await, Some((Seq(3), Mark::default())), "a mark alone is written too");
}

async fn tells_what_moved(journal: &dyn Journal) {
    let moved = |after| async move {
        let changes = journal.changes(after).await.unwrap_or_else(|error| panic!("the feed can be read: {error}"));
        let names: Vec<_> = changes.moved.iter().map(|line| (line.secret.clone(), line.seq)).collect();
        (names, Some(changes.cursor))
    };
    append(journal, facts("feed-1", vec![wave(0)])).await;
    let (none, from) = moved(None).await;
    assert_eq!(none, [], "without a cursor only the cursor of now is told");
    append(journal, facts("feed-2", vec![wave(0), wave(1)])).await;
    append(journal, facts("feed-2", vec![wave(2)])).await;
    let (names, next) = moved(from).await;
    assert_eq!(names, [(secret("feed-2"), Seq(3))], "who moved since the cursor is named once, as the index has it");
    assert_eq!(moved(next).await.0, [], "what was told is not told again");
    append(journal, facts("feed-1", vec![wave(1)])).await;
    assert_eq!(moved(next).await.0, [(secret("feed-1"), Seq(2))]);
}

async fn appends_of_many_secrets_do_not_disturb_each_other(journal: &dyn Journal) {
    const SECRETS: usize = 64;
    let one = |number: usize| {
        let name = format!("many-{number}");
        let mut append = facts(&name, vec![wave(0), wave(1)]);
        // Every third is refused, every fifth fails after its first write.
        if number.is_multiple_of(3) {
            append.after = Some(Seq(5));
        } else if number.is_multiple_of(5) {
            append.seals = vec![(Generation(1), seal("x", b"a")), (Generation(1), seal("x", b"b"))];
        }
        append
    };
    let outcomes = super::all((0..SECRETS).map(|number| journal.append(one(number)))).await;
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(JournalError::Conflict { .. }))).count();
    let failed = outcomes.iter().filter(|outcome| matches!(outcome, Err(JournalError::Unavailable { .. }))).count();
    let expected = |legal: fn(usize) -> bool| (0..SECRETS).filter(|number| legal(*number)).count();
    assert_eq!(conflicts, expected(|number| number % 3 == 0), "those on a wrong state are refused");
    assert_eq!(failed, expected(|number| number % 3 != 0 && number % 5 == 0), "those that cannot be stored fail");
    for number in 0..SECRETS {
        let kept = if number % 3 == 0 || number % 5 == 0 { 0 } else { 2 };
        let found = read(journal, &format!("many-{number}"), 0).await.len();
        assert_eq!(found, kept, "append {number} was kept whole, or not at all");
        let next = Append { after: Some(Seq(kept as u64)), ..facts(&format!("many-{number}"), vec![wave(7)]) };
        assert_eq!(append(journal, next).await, Seq(kept as u64 + 1), "and the journal goes on from there");
    }
}

async fn of_many_decisions_on_one_state_one_is_taken_and_both_hosts_read_it<P: Place>(place: &mut P)
where
    P::Store: Journal,
{
    const DECISIONS: u32 = 16;
    append(place.host(0), facts("raced", vec![wave(0)])).await;
    let decided = |number: u32| Append { after: Some(Seq(1)), ..facts("raced", vec![wave(number)]) };
    let appends = (1..=DECISIONS).map(|number| place.host(number as usize % 2).append(decided(number)));
    let outcomes = super::all(appends).await;
    let taken: Vec<u32> =
        (1..).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| number).collect();
    let told = |outcome: &&Result<Seq, JournalError>| matches!(outcome, Err(JournalError::Conflict { at: Seq(2), .. }));
    assert_eq!(outcomes.iter().filter(told).count(), DECISIONS as usize - 1, "{outcomes:?}");
    for host in [0, 1] {
        let found: Vec<_> = read(place.host(host), "raced", 1).await.into_iter().map(|it| it.event).collect();
        assert_eq!(found, taken.iter().map(|number| wave(*number)).collect::<Vec<_>>());
    }
}

async fn of_two_holders_who_take_a_free_lease_one_gets_it<P: Place>(place: &mut P)
where
    P::Store: Journal,
{
    let (one, two) = (place.host(0), place.host(1));
    let both = tokio::join!(lease(one, "free", "one", MINUTE_MS), lease(two, "free", "two", MINUTE_MS));
    let (held, refused) = match both {
        (Ok(held), refused @ Err(_)) | (refused @ Err(_), Ok(held)) => (held, refused),
        other => panic!("one of them holds it: {other:?}"),
    };
    assert!(matches!(refused, Err(JournalError::Fenced { .. })), "{refused:?}");
    let decided = Append { fence: Some(held.fence), ..facts("free", vec![wave(0)]) };
    append(two, decided).await;
}

async fn what_one_host_appended_the_other_hears_of_and_a_restart_keeps<P: Place>(place: &mut P)
where
    P::Store: Journal,
{
    let from = works(place.host(1).changes(None).await).cursor;
    append(place.host(0), facts("heard", vec![wave(0), wave(1)])).await;
    let heard = works(place.host(1).changes(Some(from)).await).moved;
    assert_eq!(heard.iter().map(|line| (&line.secret, line.seq)).collect::<Vec<_>>(), [(&secret("heard"), Seq(2))]);
    place.restart();
    assert_eq!(read(place.host(1), "heard", 0).await.len(), 2);
    let again = works(place.host(1).changes(Some(from)).await).moved;
    assert_eq!(again.len(), 1, "a cursor is good after a restart: {again:?}");
}

async fn an_edited_journal_is_damage_and_the_others_go_on<P: Place>(place: &mut P)
where
    P::Store: Journal,
{
    for name in ["one", "two"] {
        append(place.host(0), facts(name, vec![wave(0)])).await;
        append(place.host(0), facts(name, vec![wave(1)])).await;
    }
    place.edit(Kind::Journal);
    let mut sound = 0;
    for name in ["one", "two"] {
        match place.host(1).read(&secret(name), Seq(0)).await {
            Ok(events) => {
                assert_eq!(events.len(), 2);
                assert_eq!(append(place.host(0), facts(name, vec![wave(2)])).await, Seq(3), "it goes on");
                sound += 1;
            }
            other => assert!(matches!(other, Err(JournalError::Damaged { .. })), "{other:?}"),
        }
    }
    assert_eq!(sound, 1, "one was edited, and it is not read as truth");
}

/// One sealed value, as a journal opens it.
///
/// # Errors
/// As [`Journal::open`].
///
/// # Panics
/// Where the label is none.
pub async fn unseal(
    journal: &dyn Journal,
    secret: &SecretName,
    generation: Generation,
    label: &str,
) -> Result<SecretBytes, JournalError> {
    let labels = vec![label.parse().unwrap_or_else(|error| panic!("`{label}` is no label: {error}"))];
    let mut opened = journal.open(secret, vec![Wanted { generation, labels, salt: false }]).await?;
    Ok(opened.remove(0).values.remove(0))
}

/// The salt of a generation, as a journal opens it.
///
/// # Errors
/// As [`Journal::open`].
///
/// # Panics
/// Where it was asked for, and is not there.
pub async fn salt(
    journal: &dyn Journal,
    secret: &SecretName,
    generation: Generation,
) -> Result<SecretBytes, JournalError> {
    let mut opened = journal.open(secret, vec![Wanted { generation, labels: Vec::new(), salt: true }]).await?;
    Ok(opened.remove(0).salt.unwrap_or_else(|| panic!("a salt that was asked for is there or missed")))
}
