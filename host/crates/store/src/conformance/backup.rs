//! What every store that can be copied must do.

use super::journal::{append, facts, read, seal, unseal, wave};
use super::{Place, suite, works};
use keybaton_engine::ports::backup::{BackupError, Backups};
use keybaton_engine::ports::journal::{Append, Journal};
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Generation, Seq};

suite!(Backups, Journal =>
    a_backup_that_is_taken_while_writes_go_on_is_one_instant_and_opens,
    a_store_that_was_never_restored_has_nothing_pending_and_one_that_was_names_each_secret_until_its_journal_knows,
    a_backup_is_never_written_over_anything,
);

/// Appends that go on while the backup is taken.
const WRITES: u32 = 200;

async fn a_backup_that_is_taken_while_writes_go_on_is_one_instant_and_opens<P: Place>(place: &mut P)
where
    P::Store: Backups + Journal,
{
    let to = place.folder();
    // Each write seals a value and says so, alternately for two secrets: neither may be more than one ahead.
    let one = |number: u32| {
        let name = ["even", "odd"][number as usize % 2];
        let sealed = vec![(Generation(number / 2 + 1), seal("password", &number.to_be_bytes()))];
        Append { seals: sealed, ..facts(name, vec![Event::Staged]) }
    };
    append(place.host(0), one(0)).await;
    append(place.host(0), one(1)).await;
    let write = async {
        for number in 2..WRITES {
            append(place.host(0), one(number)).await;
        }
    };
    let (copied, ()) = tokio::join!(place.host(1).back_up(&to), write);
    let copied = copied.unwrap_or_else(|error| panic!("a backup is taken while writes go on: {error}"));
    assert!(copied.bytes > 0);
    let restored = place.restored(&to);
    let [even, odd] = [read(&restored, "even", 0).await.len(), read(&restored, "odd", 0).await.len()];
    assert!(even >= 1 && (even == odd || even == odd + 1), "one instant: {even} and {odd}");
    for number in 0..u32::try_from(even + odd).unwrap_or(0) {
        let name = super::journal::secret(["even", "odd"][number as usize % 2]);
        let value = works(unseal(&restored, &name, Generation(number / 2 + 1), "password").await);
        assert_eq!(value.expose(), number.to_be_bytes(), "what was appended is in it with the value it sealed");
    }
    assert_eq!(read(place.host(0), "even", 0).await.len() * 2, WRITES as usize, "the store itself went on");
}

async fn a_store_that_was_never_restored_has_nothing_pending_and_one_that_was_names_each_secret_until_its_journal_knows<
    P: Place,
>(
    place: &mut P,
) where
    P::Store: Backups + Journal,
{
    let to = place.folder();
    for name in ["one", "two"] {
        append(place.host(0), facts(name, vec![wave(0)])).await;
    }
    assert_eq!(works(place.host(0).restored_pending().await), []);
    let copied = place.host(0).back_up(&to).await;
    let copied = copied.unwrap_or_else(|error| panic!("a backup is taken: {error}"));
    let restored = place.restored(&to);
    let epoch = works(restored.epoch().await);
    assert!(epoch > copied.epoch, "{epoch:?} {copied:?}");
    let [one, two] = ["one", "two"].map(super::journal::secret);
    assert_eq!(works(restored.restored_pending().await), [one, two.clone()]);
    let told = Append { after: Some(Seq(1)), ..facts("one", vec![Event::Restored { epoch, strict: true }]) };
    append(&restored, told).await;
    assert_eq!(works(restored.restored_pending().await), [two]);
}

async fn a_backup_is_never_written_over_anything<P: Place>(place: &mut P)
where
    P::Store: Backups + Journal,
{
    let to = place.folder();
    append(place.host(0), facts("one", vec![wave(0)])).await;
    let first = place.host(0).back_up(&to).await;
    assert!(first.is_ok(), "{first:?}");
    append(place.host(0), facts("one", vec![wave(1)])).await;
    let second = place.host(0).back_up(&to).await;
    assert!(matches!(second, Err(BackupError::Refused { .. })), "{second:?}");
    assert_eq!(read(&place.restored(&to), "one", 0).await.len(), 1, "the first one is as it was");
}
