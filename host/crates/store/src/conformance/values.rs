//! What every store of the host's own values must do.

use super::{Kind, Place, is_damage, suite, works};
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::ports::values::Values;

suite!(Values =>
    a_value_opens_as_it_was_sealed_until_another_takes_its_place,
    values_outlive_a_restart_and_are_the_same_at_both_hosts,
    an_edited_value_is_damage_and_never_opened,
);

fn value(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

async fn opened(store: &impl Values, name: &str) -> Option<Vec<u8>> {
    works(store.get_sealed(name).await).map(|value| value.expose().to_vec())
}

async fn a_value_opens_as_it_was_sealed_until_another_takes_its_place<P: Place>(place: &mut P)
where
    P::Store: Values,
{
    let store = place.host(0);
    assert_eq!(opened(store, "ca-key").await, None);
    for text in ["first", "", "third"] {
        works(store.put_sealed("ca-key", value(text)).await);
        works(store.put_sealed("other", value("x")).await);
        assert_eq!(opened(store, "ca-key").await, Some(text.into()));
    }
}

async fn values_outlive_a_restart_and_are_the_same_at_both_hosts<P: Place>(place: &mut P)
where
    P::Store: Values,
{
    works(place.host(0).put_sealed("ca-key", value("kept")).await);
    assert_eq!(opened(place.host(1), "ca-key").await, Some(b"kept".into()));
    place.restart();
    assert_eq!(opened(place.host(1), "ca-key").await, Some(b"kept".into()));
}

async fn an_edited_value_is_damage_and_never_opened<P: Place>(place: &mut P)
where
    P::Store: Values,
{
    works(place.host(0).put_sealed("ca-key", value("kept")).await);
    place.edit(Kind::Values);
    is_damage(place.host(0).get_sealed("ca-key").await.map(|value| value.is_some()));
}
