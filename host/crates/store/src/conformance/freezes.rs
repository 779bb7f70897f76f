//! What every store of freezes must do.

use super::{AT, Kind, Place, is_damage, parsed, suite, works};
use keybaton_engine::ports::freezes::{Freeze, Freezes, Scope};

suite!(Freezes =>
    a_second_freeze_of_a_scope_changes_nothing_and_a_thawed_scope_is_not_frozen,
    freezes_of_all_scopes_are_kept_in_order_over_a_restart,
    of_two_who_freeze_at_once_one_is_on_record_at_both_hosts,
    an_edited_freeze_is_damage,
);

fn scopes() -> [Scope; 4] {
    [
        Scope::Host,
        Scope::Namespace(parsed("payments")),
        Scope::Connection(parsed("main")),
        Scope::Plugin(parsed("postgres-password")),
    ]
}

fn freeze(scope: &Scope, author: &str) -> Freeze {
    Freeze { scope: scope.clone(), author: parsed(author), at: AT }
}

async fn a_second_freeze_of_a_scope_changes_nothing_and_a_thawed_scope_is_not_frozen<P: Place>(place: &mut P)
where
    P::Store: Freezes,
{
    let store = place.host(0);
    let [host, other, ..] = scopes();
    works(store.freeze(freeze(&other, "ada")).await);
    for author in ["ada", "grace"] {
        works(store.freeze(freeze(&host, author)).await);
        assert_eq!(works(store.freezes().await), [freeze(&host, "ada"), freeze(&other, "ada")]);
    }
    for _ in 0..2 {
        works(store.thaw(host.clone(), parsed("grace"), AT).await);
        assert_eq!(works(store.freezes().await), [freeze(&other, "ada")], "also by a second thaw");
    }
}

async fn freezes_of_all_scopes_are_kept_in_order_over_a_restart<P: Place>(place: &mut P)
where
    P::Store: Freezes,
{
    for scope in scopes().iter().rev() {
        works(place.host(0).freeze(freeze(scope, "ada")).await);
    }
    place.restart();
    let mut kept = works(place.host(1).freezes().await);
    kept.sort_by(|one, other| one.scope.cmp(&other.scope));
    assert_eq!(kept, scopes().map(|scope| freeze(&scope, "ada")));
}

async fn of_two_who_freeze_at_once_one_is_on_record_at_both_hosts<P: Place>(place: &mut P)
where
    P::Store: Freezes,
{
    let [_, scope, ..] = scopes();
    let both = tokio::join!(place.host(0).freeze(freeze(&scope, "ada")), place.host(1).freeze(freeze(&scope, "grace")));
    works(both.0);
    works(both.1);
    let [here, there] = [works(place.host(0).freezes().await), works(place.host(1).freezes().await)];
    assert_eq!(here, there);
    assert_eq!(here.len(), 1, "{here:?}");
}

async fn an_edited_freeze_is_damage<P: Place>(place: &mut P)
where
    P::Store: Freezes,
{
    works(place.host(0).freeze(freeze(&Scope::Host, "ada")).await);
    place.edit(Kind::Freezes);
    is_damage(place.host(0).freezes().await);
}
