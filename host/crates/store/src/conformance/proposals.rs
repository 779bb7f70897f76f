//! What every store of proposals must do.

use super::{AT, Kind, Place, is_damage, parsed, suite, works};
use keybaton_engine::ports::proposals::Proposals;
use keybaton_engine::{Proposal, Word};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Generation, Millis};

suite!(Proposals =>
    proposals_are_listed_by_id_and_outlive_a_restart,
    a_proposal_is_decided_once_by_whichever_of_many_callers_at_two_hosts,
    a_proposal_that_is_put_back_can_be_decided_again,
    an_edited_proposal_is_damage,
);

/// Callers at once.
const CALLERS: usize = 16;

fn proposal(named: bool) -> Proposal {
    Proposal {
        secret: parsed("a/one"),
        word: Word {
            consumer: parsed("web"),
            replica: named.then(|| parsed("web-0")),
            generation: Generation(2),
            purpose: Purpose::Adopted,
            reason: "seen on its console".to_owned(),
            author: parsed("ada"),
            approver: parsed("ada"),
            expires_at: Millis(AT.0 + 1),
        },
        replica: parsed("web-0"),
        proposed_at: AT,
    }
}

async fn proposals_are_listed_by_id_and_outlive_a_restart<P: Place>(place: &mut P)
where
    P::Store: Proposals,
{
    for (id, named) in [("p-2", false), ("p-1", true)] {
        works(place.host(0).propose(id, &proposal(named)).await);
    }
    place.restart();
    let expected = [("p-1".to_owned(), proposal(true)), ("p-2".to_owned(), proposal(false))];
    assert_eq!(works(place.host(1).proposed().await), expected);
}

async fn a_proposal_is_decided_once_by_whichever_of_many_callers_at_two_hosts<P: Place>(place: &mut P)
where
    P::Store: Proposals,
{
    for id in ["p-1", "p-2"] {
        works(place.host(0).propose(id, &proposal(true)).await);
    }
    let callers = (0..CALLERS).map(|number| place.host(number % 2).decide("p-1"));
    let got: Vec<_> = super::all(callers).await.into_iter().filter_map(works).collect();
    assert_eq!(got, [proposal(true)], "one got it");
    assert_eq!(works(place.host(1).decide("p-1").await), None);
    assert_eq!(works(place.host(1).proposed().await), [("p-2".to_owned(), proposal(true))], "the other still waits");
}

async fn a_proposal_that_is_put_back_can_be_decided_again<P: Place>(place: &mut P)
where
    P::Store: Proposals,
{
    let store = place.host(0);
    works(store.propose("p-1", &proposal(true)).await);
    let Some(taken) = works(store.decide("p-1").await) else { panic!("it was there") };
    works(store.propose("p-1", &taken).await);
    assert_eq!(works(place.host(1).decide("p-1").await), Some(proposal(true)));
}

async fn an_edited_proposal_is_damage<P: Place>(place: &mut P)
where
    P::Store: Proposals,
{
    works(place.host(0).propose("p-1", &proposal(true)).await);
    place.edit(Kind::Proposals);
    is_damage(place.host(0).proposed().await);
    is_damage(place.host(0).decide("p-1").await);
}
