//! What every store of declarations must do.

use super::{AT, Kind, Place, is_damage, parsed, suite, works};
use keybaton_engine::ports::specs::{Applied, Specs};
use keybaton_protocol::ids::Digest;

suite!(Specs =>
    what_is_applied_is_listed_by_name_and_replaced_whole,
    what_is_removed_is_gone_in_the_same_write_and_a_name_that_is_not_there_is_no_error,
    a_reader_sees_all_of_what_was_applied_together_or_none,
    declarations_outlive_a_restart,
    an_edited_declaration_is_damage,
);

fn spec(name: &str, body: &str) -> Applied {
    Applied { name: parsed(name), body: body.to_owned(), digest: Digest([5; 32]), applied_at: AT, by: parsed("ada") }
}

async fn what_is_applied_is_listed_by_name_and_replaced_whole<P: Place>(place: &mut P)
where
    P::Store: Specs,
{
    let store = place.host(0);
    assert_eq!(works(store.applied().await), []);
    works(store.apply(vec![spec("b/two", "{}"), spec("a/one", "{}")], Vec::new()).await);
    let changed = Applied { digest: Digest([6; 32]), by: parsed("grace"), ..spec("a/one", "every: 30d") };
    works(store.apply(vec![changed.clone()], Vec::new()).await);
    assert_eq!(works(store.applied().await), [changed, spec("b/two", "{}")]);
}

async fn what_is_removed_is_gone_in_the_same_write_and_a_name_that_is_not_there_is_no_error<P: Place>(place: &mut P)
where
    P::Store: Specs,
{
    let store = place.host(0);
    works(store.apply(vec![spec("a/one", "1"), spec("a/two", "1")], Vec::new()).await);
    works(store.apply(vec![spec("a/three", "1")], vec![parsed("a/one"), parsed("a/nobody")]).await);
    assert_eq!(works(store.applied().await), [spec("a/three", "1"), spec("a/two", "1")]);
}

async fn a_reader_sees_all_of_what_was_applied_together_or_none<P: Place>(place: &mut P)
where
    P::Store: Specs,
{
    const ROUNDS: u32 = 50;
    // Each round puts one set in force in place of the other.
    let set = |round: u32| -> Vec<Applied> {
        (0..4).map(|number| spec(&format!("round-{}/s{number}", round % 2), &round.to_string())).collect()
    };
    let gone = |round: u32| set(round + 1).into_iter().map(|one| one.name).collect();
    works(place.host(0).apply(set(0), Vec::new()).await);
    let write = async {
        for round in 1..ROUNDS {
            works(place.host(0).apply(set(round), gone(round)).await);
        }
    };
    let read = async {
        for _ in 1..ROUNDS {
            let seen = works(place.host(1).applied().await);
            let round = seen.first().and_then(|one| one.body.parse().ok());
            assert_eq!(Some(seen), round.map(set), "one round, and all of it");
        }
    };
    tokio::join!(write, read);
}

async fn declarations_outlive_a_restart<P: Place>(place: &mut P)
where
    P::Store: Specs,
{
    works(place.host(0).apply(vec![spec("a/one", "{}")], Vec::new()).await);
    place.restart();
    assert_eq!(works(place.host(1).applied().await), [spec("a/one", "{}")]);
}

async fn an_edited_declaration_is_damage<P: Place>(place: &mut P)
where
    P::Store: Specs,
{
    works(place.host(0).apply(vec![spec("a/one", "{}")], Vec::new()).await);
    place.edit(Kind::Specs);
    is_damage(place.host(0).applied().await);
}
