//! What every store that looks for damage must do.

use super::journal::{append, facts, read, wave};
use super::{AT, Kind, Place, parsed, suite, works};
use keybaton_engine::ports::audit::{AuditEntry, AuditLog, Verdict};
use keybaton_engine::ports::inspect::{Damage, Inspect};
use keybaton_engine::ports::journal::{Append, Journal};
use keybaton_engine::ports::specs::{Applied, Specs};
use keybaton_protocol::ids::{Digest, Seq};

suite!(Inspect, Journal, AuditLog, Specs =>
    a_sound_store_has_no_damage,
    a_damaged_journal_is_named_with_its_secret_and_the_others_go_on,
    damage_that_is_no_single_secrets_is_named_without_one,
);

async fn look(store: &impl Inspect) -> Vec<Damage> {
    let mut found = Vec::new();
    works(store.look_through(&mut |damage| found.push(damage)).await);
    found
}

async fn furnish<S: Journal + AuditLog + Specs>(store: &S) {
    for name in ["one", "two"] {
        append(store, facts(name, vec![wave(0), wave(1)])).await;
        append(store, facts(name, vec![wave(2)])).await;
    }
    let spec = Applied {
        name: parsed("a/one"),
        body: "{}".to_owned(),
        digest: Digest([1; 32]),
        applied_at: AT,
        by: parsed("ada"),
    };
    works(store.apply(vec![spec], Vec::new()).await);
    let entry = AuditEntry {
        at: AT,
        actor: "operator ada".to_owned(),
        from: "local".to_owned(),
        action: "apply".to_owned(),
        subject: "a/one".to_owned(),
        detail: String::new(),
        verdict: Verdict::Done,
    };
    works(store.record(entry).await);
}

async fn a_sound_store_has_no_damage<P: Place>(place: &mut P)
where
    P::Store: Inspect + Journal + AuditLog + Specs,
{
    furnish(place.host(0)).await;
    assert_eq!(look(place.host(1)).await, []);
}

async fn a_damaged_journal_is_named_with_its_secret_and_the_others_go_on<P: Place>(place: &mut P)
where
    P::Store: Inspect + Journal + AuditLog + Specs,
{
    furnish(place.host(0)).await;
    place.edit(Kind::Journal);
    let found = look(place.host(1)).await;
    let [Damage { secret: Some(damaged), .. }] = &found[..] else { panic!("one secret is damaged: {found:?}") };
    for name in ["one", "two"].into_iter().filter(|name| super::journal::secret(name) != *damaged) {
        append(place.host(0), Append { after: Some(Seq(3)), ..facts(name, vec![wave(3)]) }).await;
        assert_eq!(read(place.host(0), name, 0).await.len(), 4);
    }
}

async fn damage_that_is_no_single_secrets_is_named_without_one<P: Place>(place: &mut P)
where
    P::Store: Inspect + Journal + AuditLog + Specs,
{
    furnish(place.host(0)).await;
    place.edit(Kind::Specs);
    place.edit(Kind::Audit);
    let found = look(place.host(1)).await;
    assert!(found.len() >= 2 && found.iter().all(|damage| damage.secret.is_none()), "{found:?}");
}
