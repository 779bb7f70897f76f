//! Several secrets together: groups, dependencies, order, cycles.

use keybaton_protocol::ids::Millis;
use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::declaration::{Input, load};
use keybaton_schedule::group::{Admit, Dependency, GroupState, admit, blocked_by, order};
use keybaton_schedule::spec::{Spec, Stagger};

fn read(links: &[(&str, &[&str])]) -> (Vec<Spec>, Vec<String>) {
    let mut text = "secrets:\n".to_owned();
    for (name, after) in links {
        let after: Vec<String> = after.iter().map(|name| format!("a/{name}")).collect();
        let after = if after.is_empty() { String::new() } else { format!(", after: [{}]", after.join(", ")) };
        text.push_str(&format!(
            "  - {{ name: a/{name}, plugin: p, connection: c, settings: {{}}, cadence: {{ every: 1d }}, consumers: {{}}{after} }}\n"
        ));
    }
    let loaded = load(&[Input { name: "a.yaml", text: &text }], &Catalog::unknown());
    (loaded.specs, loaded.diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect())
}

#[test]
fn a_group_keeps_its_distance_and_its_limit() {
    let stagger = Stagger { group: "databases".into(), at_least_ms: 100, at_once: 2 };
    let state = |last_start: Option<u64>, running| GroupState { last_start: last_start.map(Millis), running };
    let table = [
        ("nothing has ever started", state(None, 0), 50, Admit::Now),
        ("one started just now", state(Some(0), 1), 99, Admit::At(Millis(100))),
        ("one started long enough ago", state(Some(0), 1), 100, Admit::Now),
        ("it has ended, but the distance stays", state(Some(0), 0), 99, Admit::At(Millis(100))),
        ("as many run as may", state(Some(0), 2), 1000, Admit::WhenOneEnds),
    ];
    for (sentence, state, now, expected) in table {
        assert_eq!(admit(&stagger, state, Millis(now)), expected, "{sentence}");
    }
}

#[test]
fn those_that_others_come_after_are_first_and_names_decide_the_rest() {
    let (specs, problems) = read(&[("leaf", &["ca"]), ("app", &["leaf", "ca"]), ("ca", &[]), ("b", &[])]);
    assert_eq!(problems, Vec::<String>::new());
    let names: Vec<&str> = order(&specs).into_iter().map(|at| specs[at].name.name()).collect();
    assert_eq!(names, ["b", "ca", "leaf", "app"]);
}

#[test]
fn a_secret_waits_for_the_first_unsettled_one_that_it_comes_after() {
    let (specs, _) = read(&[("x", &["b", "a"]), ("a", &[]), ("b", &[])]);
    let blocked = |states: [Dependency; 2]| {
        let state = |name: &keybaton_protocol::ids::SecretName| states[usize::from(name.name() == "b")];
        blocked_by(&specs[0], state).map(|(name, state)| (name.name().to_owned(), state))
    };
    use Dependency::{Due, NeverIssued, Running, Settled};
    assert_eq!(blocked([Settled, Settled]), None);
    assert_eq!(blocked([Settled, Running]), Some(("b".to_owned(), Running)));
    assert_eq!(blocked([Due, Running]), Some(("a".to_owned(), Due)));
    assert_eq!(blocked([NeverIssued, Settled]), Some(("a".to_owned(), NeverIssued)));
}

#[test]
fn each_cycle_is_named_whole_and_once() {
    let (_, problems) = read(&[
        ("a", &["b"]),
        ("b", &["c"]),
        ("c", &["a"]), // one
        ("x", &["y"]),
        ("y", &["x", "free"]), // another
        ("0-downstream", &["b"]),
        ("free", &[]),
    ]);
    assert_eq!(
        problems,
        [
            "each comes after the next, in a circle: `a/a` after `a/b` after `a/c` after `a/a`",
            "each comes after the next, in a circle: `a/x` after `a/y` after `a/x`",
        ]
    );
}

#[test]
fn a_chain_of_ten_thousand_is_put_in_order() {
    let names: Vec<String> = (0..10_000).map(|n| format!("s{n}")).collect();
    let after: Vec<Vec<&str>> =
        (0..10_000).map(|n| if n > 0 { vec![names[n - 1].as_str()] } else { Vec::new() }).collect();
    let links: Vec<(&str, &[&str])> = names.iter().map(String::as_str).zip(after.iter().map(Vec::as_slice)).collect();
    let (specs, problems) = read(&links);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(order(&specs), (0..10_000).collect::<Vec<_>>());
}
