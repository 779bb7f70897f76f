//! Every call of every way that a rotation can go, failed once in each class, broken down, lost, and made twice, by real
//! plugins against real servers. What is expected of each is in a table; after each the credentials that live at the
//! target are those that the journal names, and the secret rotates again.

mod fleet;
mod plugins;
mod wire;

use crate::site::{CALL_MS, Course};
use fleet::{Case, Fleet, Site, Times, numbered};
use keybaton_engine::harness::{Fault, Plan};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::step::{CallKind, PlanKind, Step};
use std::fmt::Write;
use tokio::task::JoinSet;

/// The columns of the tables; each cell is how it ended. `held` and `stuck`: a person had to let go of the rotation, or of
/// a retirement, first. `once`: what was to run twice was found done. A class is what the call answers, without effect. `ambiguous` never left, `lost` took
/// effect. `twice` took effect and is said not to have. A plugin traps before its first host call, or after its last.
const FAULTS: [(&str, Fault); 9] = [
    ("retryable", Fault::Fails(FailureClass::Retryable)),
    ("permanent", Fault::Fails(FailureClass::Permanent)),
    ("denied", Fault::Fails(FailureClass::Denied)),
    ("unsupported", Fault::Fails(FailureClass::Unsupported)),
    ("ambiguous", Fault::LostBefore),
    ("lost", Fault::Lost),
    ("twice", Fault::Twice),
    ("trap", Fault::Trap),
    ("trap-after", Fault::TrapAfter),
];

/// One role, through. Nothing is called current before the target took it: what it refuses for good is given back.
const ONE_ROLE: &str = "
           retryable  permanent    denied       unsupported  ambiguous  lost       twice           trap         trap-after
create/0   completed  rolled-back  rolled-back  rolled-back  completed  completed  completed       rolled-back  completed
install/0  completed  rolled-back  rolled-back  rolled-back  completed  completed  once,completed  rolled-back  completed
verify/0   completed  rolled-back  rolled-back  rolled-back  completed  completed  completed       rolled-back  rolled-back
";

/// One role, given back: nothing has come to the target by then, and nothing has to go.
const ONE_ROLE_REFUSED: &str = "
           retryable    permanent    denied       unsupported  ambiguous    lost         twice        trap         trap-after
create/0   rolled-back  rolled-back  rolled-back  rolled-back  rolled-back  rolled-back  rolled-back  rolled-back  rolled-back
";

/// One role, put back.
const ONE_ROLE_BACK: &str = "
           retryable  permanent      denied         unsupported    ambiguous  lost       twice          trap           trap-after
create/0   reverted   rolled-back    rolled-back    rolled-back    reverted   reverted   reverted       rolled-back    reverted
install/0  reverted   rolled-back    rolled-back    rolled-back    reverted   reverted   once,reverted  rolled-back    reverted
verify/0   reverted   rolled-back    rolled-back    rolled-back    reverted   reverted   reverted       rolled-back    rolled-back
install/1  reverted   held,reverted  held,reverted  held,reverted  reverted   reverted   once,reverted  held,reverted  reverted
verify/1   reverted   held,reverted  held,reverted  held,reverted  reverted   reverted   reverted       held,reverted  held,reverted
";

/// Two roles in turn, through.
const TWO_ROLES: &str = "
           retryable  permanent        denied           unsupported      ambiguous  lost       twice           trap             trap-after
create/0   completed  rolled-back      rolled-back      rolled-back      completed  completed  completed       rolled-back      completed
install/0  completed  rolled-back      rolled-back      rolled-back      completed  completed  completed       rolled-back      completed
verify/0   completed  rolled-back      rolled-back      rolled-back      completed  completed  completed       rolled-back      rolled-back
observe/0  completed  held,completed   held,completed   held,completed   completed  completed  completed       held,completed   held,completed
observe/1  completed  held,completed   held,completed   held,completed   completed  completed  completed       held,completed   held,completed
disable/0  completed  stuck,completed  stuck,completed  stuck,completed  completed  completed  completed       stuck,completed  completed
destroy/0  completed  stuck,completed  stuck,completed  stuck,completed  completed  completed  completed       stuck,completed  completed
";

/// One of two roles, given back.
const TWO_ROLES_REFUSED: &str = "
           retryable    permanent          denied             unsupported        ambiguous    lost         twice        trap               trap-after
create/0   rolled-back  rolled-back        rolled-back        rolled-back        rolled-back  rolled-back  rolled-back  rolled-back        rolled-back
install/0  rolled-back  rolled-back        rolled-back        rolled-back        rolled-back  rolled-back  rolled-back  rolled-back        rolled-back
verify/0   rolled-back  rolled-back        rolled-back        rolled-back        rolled-back  rolled-back  rolled-back  rolled-back        rolled-back
disable/0  rolled-back  stuck,rolled-back  stuck,rolled-back  stuck,rolled-back  rolled-back  rolled-back  rolled-back  stuck,rolled-back  rolled-back
destroy/0  rolled-back  stuck,rolled-back  stuck,rolled-back  stuck,rolled-back  rolled-back  rolled-back  rolled-back  stuck,rolled-back  rolled-back
";

/// A token, through.
const TOKENS: &str = "
           retryable    permanent          denied             unsupported        ambiguous    lost         twice        trap               trap-after
observe/0  completed    rolled-back        rolled-back        rolled-back        completed    completed    completed    rolled-back        rolled-back
create/0   completed    rolled-back        rolled-back        rolled-back        completed    completed    completed    rolled-back        completed
install/0  completed    rolled-back        rolled-back        rolled-back        completed    completed    completed    rolled-back        completed
verify/0   completed    rolled-back        rolled-back        rolled-back        completed    completed    completed    rolled-back        rolled-back
destroy/0  completed    stuck,completed    stuck,completed    stuck,completed    completed    completed    completed    stuck,completed    completed
";

/// A token, given back.
const TOKENS_REFUSED: &str = "
           retryable    permanent          denied             unsupported        ambiguous    lost         twice        trap               trap-after
observe/0  rolled-back  rolled-back        rolled-back        rolled-back        rolled-back  rolled-back  rolled-back  rolled-back        rolled-back
create/0   rolled-back  rolled-back        rolled-back        rolled-back        rolled-back  rolled-back  rolled-back  rolled-back        rolled-back
install/0  rolled-back  rolled-back        rolled-back        rolled-back        rolled-back  rolled-back  rolled-back  rolled-back        rolled-back
verify/0   rolled-back  rolled-back        rolled-back        rolled-back        rolled-back  rolled-back  rolled-back  rolled-back        rolled-back
destroy/0  rolled-back  stuck,rolled-back  stuck,rolled-back  stuck,rolled-back  rolled-back  rolled-back  rolled-back  stuck,rolled-back  rolled-back
";

/// A token, put back.
const TOKENS_BACK: &str = "
           retryable    permanent          denied             unsupported        ambiguous    lost         twice        trap               trap-after
observe/0  reverted     rolled-back        rolled-back        rolled-back        reverted     reverted     reverted     rolled-back        rolled-back
create/0   reverted     rolled-back        rolled-back        rolled-back        reverted     reverted     reverted     rolled-back        reverted
install/0  reverted     rolled-back        rolled-back        rolled-back        reverted     reverted     reverted     rolled-back        reverted
verify/0   reverted     rolled-back        rolled-back        rolled-back        reverted     reverted     reverted     rolled-back        rolled-back
verify/1   reverted     held,reverted      held,reverted      held,reverted      reverted     reverted     reverted     held,reverted      held,reverted
destroy/0  reverted     stuck,reverted     stuck,reverted     stuck,reverted     reverted     reverted     reverted     stuck,reverted     reverted
";

/// One of two roles, put back when it was switched off already. `~`: the operator reverts before or after that call is
/// tried again, or a person lets go of it.
const TWO_ROLES_BACK: &str = "
           retryable    permanent          denied             unsupported        ambiguous    lost         twice        trap               trap-after
create/0   reverted     rolled-back        rolled-back        rolled-back        reverted     reverted     reverted     rolled-back        reverted
install/0  reverted     rolled-back        rolled-back        rolled-back        reverted     reverted     reverted     rolled-back        reverted
verify/0   reverted     rolled-back        rolled-back        rolled-back        reverted     reverted     reverted     rolled-back        rolled-back
observe/0  reverted     held,reverted      held,reverted      held,reverted      reverted     reverted     reverted     held,reverted      held,reverted
observe/1  reverted     held,reverted      held,reverted      held,reverted      reverted     reverted     reverted     held,reverted      held,reverted
disable/0  ~reverted    ~reverted          ~reverted          ~reverted          ~reverted    ~reverted    ~reverted    ~reverted          ~reverted
enable/0   reverted     held,reverted      held,reverted      held,reverted      reverted     reverted     reverted     held,reverted      reverted
verify/1   reverted     held,reverted      held,reverted      held,reverted      reverted     reverted     reverted     held,reverted      held,reverted
observe/2  reverted     held,reverted      held,reverted      held,reverted      reverted     reverted     reverted     held,reverted      held,reverted
observe/3  reverted     held,reverted      held,reverted      held,reverted      reverted     reverted     reverted     held,reverted      held,reverted
disable/1  reverted     stuck,reverted     stuck,reverted     stuck,reverted     reverted     reverted     reverted     stuck,reverted     reverted
destroy/0  reverted     stuck,reverted     stuck,reverted     stuck,reverted     reverted     reverted     reverted     stuck,reverted     reverted
";

/// What comes of each, as a table with a row for each call.
async fn table(site: Site, purpose: &str, course: Course) -> String {
    let port = site.port();
    let times = Times { host_call_ms: CALL_MS, call_ms: CALL_MS };
    let fleet = Fleet::start(site, purpose, port, times, course).await;
    let mut calm = fleet.declare(&["calm".to_owned()]).await.remove(0);
    calm.issue().await;
    let trace = calm.plan(Plan::default());
    calm.begin(PlanKind::Rotate).await;
    assert_eq!(calm.settle(course).await, None);
    assert_eq!(calm.ending().await, course.ending());
    calm.census("undisturbed").await;
    // It gives up its turn.
    drop(calm);
    let calls = numbered(&trace.calls());

    let mut running = JoinSet::new();
    for (row, (_, kind, nth)) in calls.iter().enumerate() {
        let names: Vec<String> = (0..FAULTS.len()).map(|column| format!("c{row}_{column}")).collect();
        for (column, case) in fleet.declare(&names).await.into_iter().enumerate() {
            let (call, fault) = ((*kind, *nth), FAULTS[column]);
            running.spawn(async move { (row, column, one(case, course, call, fault).await) });
        }
    }
    let mut cells = vec![vec![String::new(); FAULTS.len()]; calls.len()];
    while let Some(ended) = running.join_next().await {
        let (row, column, ending) = ended.unwrap();
        cells[row][column] = ending;
    }
    assert!(fleet.engine.shutdown().await, "calls were left open");
    let mut text = String::new();
    let heads: String = FAULTS.iter().map(|(name, _)| format!(" {name:<17}")).collect();
    writeln!(text, "{:<10}{}", "", heads.trim_end()).unwrap();
    for ((name, ..), row) in calls.iter().zip(cells) {
        let row: String = row.iter().map(|cell| format!(" {cell:<17}")).collect();
        writeln!(text, "{name:<10}{}", row.trim_end()).unwrap();
    }
    text
}

/// One secret, one call, one fault. Answers how it ended, whether a person had to let go of it first, and whether what
/// was to run twice ran once.
async fn one(mut case: Case, course: Course, (kind, nth): (CallKind, u64), (name, fault): (&str, Fault)) -> String {
    let what = format!("{kind}/{nth} {name} ({course:?}, {})", case.name);
    case.issue().await;
    let before = case.made().len();
    let trace = case.plan(Plan { crash: None, fault: Some((kind, nth, fault)) });
    case.begin(PlanKind::Rotate).await;
    let helped = case.settle(course).await;
    assert!(trace.calls().iter().filter(|made| **made == kind).count() as u64 > nth, "{what}: it never came to that");
    case.census(&what).await;
    // Run again it is the same operation, unless a look at the target has shown that there is nothing to run again.
    let made = &case.made()[before..];
    let first = made.iter().filter(|it| it.kind == kind).nth(usize::try_from(nth).unwrap()).cloned();
    let same: Vec<_> = made.iter().filter(|it| first.as_ref().is_some_and(|first| it.of(first))).collect();
    let once = fault == Fault::Twice && same.len() == 1;
    assert!(!kind.mutates() || same.iter().all(|it| Some(*it) == first.as_ref()), "{what}: {same:?}");
    let ending = case.ending().await;
    case.again(&what).await;
    let parts = [helped, once.then_some("once"), Some(ending.as_str())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(",")
}

fn same(course: Course, expected: &str, found: &str) {
    let words = |text: &str| -> Vec<Vec<String>> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let (expected, found_words) = (words(expected), words(found));
    let fits = |(expected, found): (&String, &String)| match expected.strip_prefix('~') {
        Some(ending) => found.ends_with(ending),
        None => expected == found,
    };
    let rows = expected.iter().zip(&found_words);
    let same = expected.len() == found_words.len()
        && rows.into_iter().all(|(one, other)| one.len() == other.len() && one.iter().zip(other).all(fits));
    assert!(same, "{course:?} ends otherwise:\n{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_one_role_is_rotated_the_journal_names_its_password() {
    let course = Course::Through;
    same(course, ONE_ROLE, &table(Site::one_role().await, "faults-one", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_one_role_is_given_back_the_journal_names_its_password() {
    let course = Course::Refused;
    same(course, ONE_ROLE_REFUSED, &table(Site::one_role().await, "faults-one-refused", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_one_role_is_put_back_the_journal_names_its_password() {
    let course = Course::Reverted(Step::Adopt);
    same(course, ONE_ROLE_BACK, &table(Site::one_role().await, "faults-one-back", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_two_roles_take_turns_one_can_log_in() {
    let course = Course::Through;
    same(course, TWO_ROLES, &table(Site::two_roles().await, "faults-two", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_one_of_two_roles_is_given_back_the_other_can_log_in() {
    let course = Course::Refused;
    same(course, TWO_ROLES_REFUSED, &table(Site::two_roles().await, "faults-two-refused", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_one_of_two_roles_is_put_back_it_can_log_in() {
    let course = Course::Reverted(Step::Disable);
    same(course, TWO_ROLES_BACK, &table(Site::two_roles().await, "faults-two-back", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_a_token_is_rotated_one_is_left_at_the_hub() {
    let course = Course::Through;
    same(course, TOKENS, &table(Site::tokens().await, "faults-hub", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_a_token_is_given_back_the_other_is_left_at_the_hub() {
    let course = Course::Refused;
    same(course, TOKENS_REFUSED, &table(Site::tokens().await, "faults-hub-refused", course).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_a_token_is_put_back_it_is_left_at_the_hub() {
    let course = Course::Reverted(Step::Adopt);
    same(course, TOKENS_BACK, &table(Site::tokens().await, "faults-hub-back", course).await);
}
