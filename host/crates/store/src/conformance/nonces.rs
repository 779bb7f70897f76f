//! What every table of nonces must do. Hosts that share a store share the table; a store that has one host leaves it to
//! that host (`keybaton_engine::nonces::InProcess`).

use super::{MINUTE_MS, Place, parsed, suite, works};
use keybaton_engine::ports::nonces::{Given, Nonces, PER_CONSUMER};
use keybaton_engine::proof::ProofError;
use keybaton_engine::requests::{Challenge, Nonce};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Epoch, Generation};
use std::time::Duration;

suite!(Nonces =>
    a_nonce_issued_by_one_host_is_taken_once_by_either_of_two,
    of_many_who_take_a_nonce_at_once_one_gets_it,
    a_nonce_of_somebody_else_is_refused_and_not_used_up,
    a_nonce_for_something_else_is_refused_and_used_up,
    a_nonce_that_has_ended_is_unknown,
    a_flood_costs_its_sender_only,
);

/// Callers at once.
const CALLERS: usize = 16;

fn nonce(number: usize) -> Nonce {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Nonce(bytes)
}

fn challenge(consumer: &str) -> Challenge {
    Challenge {
        secret: parsed("a/db"),
        consumer: parsed(consumer),
        replica: parsed("r-0"),
        incarnation: parsed("i1"),
        rotation: parsed("rot"),
        generation: Generation(2),
        purpose: Purpose::Ready,
    }
}

fn given(consumer: &str) -> Given {
    Given { challenge: challenge(consumer), epoch: Epoch(3) }
}

async fn give(store: &impl Nonces, number: usize, consumer: &str, for_ms: u64) {
    assert!(works(store.give(nonce(number), given(consumer), for_ms).await), "there is room for it");
}

async fn take(store: &impl Nonces, number: usize, claimed: &Challenge) -> Result<Given, ProofError> {
    works(store.take(&nonce(number), claimed).await)
}

async fn a_nonce_issued_by_one_host_is_taken_once_by_either_of_two<P: Place>(place: &mut P)
where
    P::Store: Nonces,
{
    for (number, (issuer, taker)) in [(0, 1), (1, 0), (0, 0)].into_iter().enumerate() {
        give(place.host(issuer), number, "web", MINUTE_MS).await;
        assert_eq!(take(place.host(taker), number, &challenge("web")).await, Ok(given("web")));
        for host in [0, 1] {
            assert_eq!(take(place.host(host), number, &challenge("web")).await, Err(ProofError::Nonce), "once");
        }
    }
}

async fn of_many_who_take_a_nonce_at_once_one_gets_it<P: Place>(place: &mut P)
where
    P::Store: Nonces,
{
    give(place.host(0), 1, "web", MINUTE_MS).await;
    let (nonce, claimed) = (nonce(1), challenge("web"));
    let taken = super::all((0..CALLERS).map(|number| place.host(number % 2).take(&nonce, &claimed))).await;
    assert_eq!(taken.into_iter().map(works).filter(Result::is_ok).count(), 1);
}

async fn a_nonce_of_somebody_else_is_refused_and_not_used_up<P: Place>(place: &mut P)
where
    P::Store: Nonces,
{
    give(place.host(0), 1, "web", MINUTE_MS).await;
    let thieves = [
        challenge("thief"),
        Challenge { secret: parsed("b/db"), ..challenge("web") },
        Challenge { replica: parsed("r-1"), ..challenge("web") },
        Challenge { incarnation: parsed("i2"), ..challenge("web") },
    ];
    for thief in thieves {
        assert_eq!(take(place.host(1), 1, &thief).await, Err(ProofError::Stranger), "{thief:?}");
    }
    assert_eq!(take(place.host(1), 2, &challenge("web")).await, Err(ProofError::Nonce), "one that was never given");
    assert!(take(place.host(1), 1, &challenge("web")).await.is_ok(), "its owner can still use it");
}

async fn a_nonce_for_something_else_is_refused_and_used_up<P: Place>(place: &mut P)
where
    P::Store: Nonces,
{
    let lies = [
        (Challenge { purpose: Purpose::Adopted, ..challenge("web") }, ProofError::Purpose),
        (Challenge { generation: Generation(1), ..challenge("web") }, ProofError::Generation),
        (Challenge { rotation: parsed("old"), ..challenge("web") }, ProofError::Generation),
    ];
    for (number, (lie, why)) in lies.into_iter().enumerate() {
        give(place.host(0), number, "web", MINUTE_MS).await;
        assert_eq!(take(place.host(1), number, &lie).await, Err(why), "{lie:?}");
        assert_eq!(take(place.host(1), number, &challenge("web")).await, Err(ProofError::Nonce), "it is used up");
    }
}

async fn a_nonce_that_has_ended_is_unknown<P: Place>(place: &mut P)
where
    P::Store: Nonces,
{
    give(place.host(0), 1, "web", 1).await;
    give(place.host(0), 2, "web", MINUTE_MS).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(take(place.host(1), 1, &challenge("web")).await, Err(ProofError::Nonce));
    assert!(take(place.host(1), 2, &challenge("web")).await.is_ok(), "the other one has time left");
}

async fn a_flood_costs_its_sender_only<P: Place>(place: &mut P)
where
    P::Store: Nonces,
{
    give(place.host(0), 0, "quiet", MINUTE_MS).await;
    for number in 1..=PER_CONSUMER + 1 {
        give(place.host(number % 2), number, "flood", MINUTE_MS).await;
    }
    assert_eq!(take(place.host(0), 1, &challenge("flood")).await, Err(ProofError::Nonce), "its oldest was forgotten");
    assert!(take(place.host(0), PER_CONSUMER + 1, &challenge("flood")).await.is_ok(), "and not its newest");
    assert!(take(place.host(1), 0, &challenge("quiet")).await.is_ok());
}
