//! What an authority says of one replica: that it is gone for good, or is there.

use super::{Answer, Refusal};
use crate::event::Event;
use crate::ids::{Author, ConsumerName, Replica};
use crate::policy::Members;
use crate::state::Secret;

/// A list names one less or one more. A count is one less for who is gone, unless more names than that have shown
/// themselves, and one more for who is there beside as many as are expected; and the name itself is marked, so that what
/// is on record of it is waited for no longer, or again.
pub(super) fn member(
    secret: &Secret,
    consumer: &ConsumerName,
    replica: &Replica,
    gone: bool,
    author: &Author,
) -> Answer {
    let unknown = |why: String| Refusal::new("unknown", why, "`member list` shows those there are");
    let policy = secret.consumers().get(consumer).ok_or_else(|| unknown(format!("there is no consumer {consumer}")))?;
    let changed = |members| Event::MembersChanged { consumer: consumer.clone(), members, author: author.clone() };
    match &policy.members {
        Members::Listed(listed) => {
            let others = listed.iter().filter(|it| *it != replica).cloned();
            let members = match (listed.contains(replica), gone) {
                (true, true) => others.collect(),
                (false, true) => return Err(unknown(format!("{replica} is no member of {consumer}"))),
                (true, false) => return Ok(Vec::new()),
                (false, false) => others.chain([replica.clone()]).collect(),
            };
            Ok(vec![changed(Members::Listed(members))])
        }
        Members::Count(count) => {
            let there = secret.replicas().keys().filter(|(name, it)| name == consumer && secret.is_member(name, it));
            let others = there.filter(|(_, it)| it != replica).count();
            let known = secret.replicas().contains_key(&(consumer.clone(), replica.clone()));
            let count = match gone {
                true if known && others >= *count as usize => *count,
                true => count.saturating_sub(1),
                false if others < *count as usize && known => *count,
                false => count.saturating_add(1),
            };
            let changed = (policy.members != Members::Count(count)).then(|| changed(Members::Count(count)));
            let marked = known.then(|| Event::MemberMarked {
                consumer: consumer.clone(),
                replica: replica.clone(),
                gone,
                author: author.clone(),
            });
            Ok(changed.into_iter().chain(marked).collect())
        }
    }
}
