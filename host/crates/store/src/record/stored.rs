//! How the protocol's small values are kept: names as text, numbers as numbers, digests as `sha256:` and hex.

use super::RecordError;
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::fault::{Blame, FailureClass};
use keybaton_protocol::generation::Liveness;
use keybaton_protocol::ids::{
    Author, CallId, ConsumerName, Digest, Epoch, Generation, Incarnation, Millis, Namespace, OperationId, Ordinal,
    Place, PluginName, Replica, RotationId, SealLabel, Seq, Slot, Steady, TargetId,
};
use keybaton_protocol::policy::{AtDeadline, ConsumerKind, ConsumerRole};
use keybaton_protocol::profile::Minter;
use keybaton_protocol::step::{CallKind, Ending, Phase, PlanKind, Step};
use std::collections::{BTreeMap, BTreeSet};

/// A stored shape of the value `M`.
pub(crate) trait Stored<M>: Sized {
    /// The shape that is written.
    fn store(model: &M) -> Self;
    /// The value that was meant.
    fn load(self) -> Result<M, RecordError>;
}

macro_rules! itself {
    ($($type:ty),*) => { $(
        impl Stored<$type> for $type {
            fn store(model: &$type) -> Self { model.clone() }
            fn load(self) -> Result<$type, RecordError> { Ok(self) }
        }
    )* };
}
itself!(String, bool, u8, u32, u64, i64);

macro_rules! text {
    ($($type:ident),*) => { $(
        impl Stored<$type> for String {
            fn store(model: &$type) -> Self { model.as_str().to_owned() }
            fn load(self) -> Result<$type, RecordError> {
                self.parse().map_err(|_| RecordError::value(stringify!($type), &self))
            }
        }
    )* };
}
text!(Author, ConsumerName, Incarnation, OperationId, Place, PluginName, Replica, RotationId, SealLabel, Slot);
text!(Namespace, TargetId);

impl Stored<Digest> for String {
    fn store(model: &Digest) -> Self {
        model.to_string()
    }

    fn load(self) -> Result<Digest, RecordError> {
        self.parse().map_err(|_| RecordError::value("Digest", &self))
    }
}

macro_rules! number {
    ($shape:ident: $($type:ident),*) => { $(
        impl Stored<$type> for $shape {
            fn store(model: &$type) -> Self { model.0 }
            fn load(self) -> Result<$type, RecordError> { Ok($type(self)) }
        }
    )* };
}
number!(u64: Millis, Seq, Steady);
number!(u32: CallId, Epoch, Generation, Ordinal);

macro_rules! named {
    ($($type:ident),*) => { $(
        impl Stored<$type> for String {
            fn store(model: &$type) -> Self { model.name().to_owned() }
            fn load(self) -> Result<$type, RecordError> {
                $type::from_name(&self).ok_or_else(|| RecordError::value(stringify!($type), &self))
            }
        }
    )* };
}
named!(
    AtDeadline,
    Blame,
    CallKind,
    ConsumerKind,
    ConsumerRole,
    Ending,
    EvidenceKind,
    FailureClass,
    Liveness,
    Minter,
    Phase
);
named!(PlanKind, Purpose, Step);

impl<M, S: Stored<M>> Stored<Option<M>> for Option<S> {
    fn store(model: &Option<M>) -> Self {
        model.as_ref().map(S::store)
    }

    fn load(self) -> Result<Option<M>, RecordError> {
        self.map(S::load).transpose()
    }
}

impl<M, S: Stored<M>> Stored<Vec<M>> for Vec<S> {
    fn store(model: &Vec<M>) -> Self {
        model.iter().map(S::store).collect()
    }

    fn load(self) -> Result<Vec<M>, RecordError> {
        self.into_iter().map(S::load).collect()
    }
}

impl<M, S: Stored<M>> Stored<Box<M>> for Box<S> {
    fn store(model: &Box<M>) -> Self {
        Box::new(S::store(model))
    }

    fn load(self) -> Result<Box<M>, RecordError> {
        (*self).load().map(Box::new)
    }
}

impl<A, B, SA: Stored<A>, SB: Stored<B>> Stored<(A, B)> for (SA, SB) {
    fn store(model: &(A, B)) -> Self {
        (SA::store(&model.0), SB::store(&model.1))
    }

    fn load(self) -> Result<(A, B), RecordError> {
        Ok((self.0.load()?, self.1.load()?))
    }
}

impl<A, B, C, SA: Stored<A>, SB: Stored<B>, SC: Stored<C>> Stored<(A, B, C)> for (SA, SB, SC) {
    fn store(model: &(A, B, C)) -> Self {
        (SA::store(&model.0), SB::store(&model.1), SC::store(&model.2))
    }

    fn load(self) -> Result<(A, B, C), RecordError> {
        Ok((self.0.load()?, self.1.load()?, self.2.load()?))
    }
}

impl<K: Ord, V, SK: Stored<K>, SV: Stored<V>> Stored<BTreeMap<K, V>> for Vec<(SK, SV)> {
    fn store(model: &BTreeMap<K, V>) -> Self {
        model.iter().map(|(key, value)| (SK::store(key), SV::store(value))).collect()
    }

    fn load(self) -> Result<BTreeMap<K, V>, RecordError> {
        self.into_iter().map(|(key, value)| Ok((key.load()?, value.load()?))).collect()
    }
}

impl<M: Ord, S: Stored<M>> Stored<BTreeSet<M>> for Vec<S> {
    fn store(model: &BTreeSet<M>) -> Self {
        model.iter().map(S::store).collect()
    }

    fn load(self) -> Result<BTreeSet<M>, RecordError> {
        self.into_iter().map(S::load).collect()
    }
}
