//! Macros that write a record type and its conversions out of one list of fields. Both conversions destructure
//! without `..`, so that a field or variant added to the protocol does not compile until the record knows it. A field
//! that came later is an `Option` that is left out where it is none, so that older records read and write as before.

macro_rules! record_struct {
    ($name:ident => $model:ident { $($(#[$attribute:meta])* $field:ident : $type:ty),* $(,)? }) => {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name { $($(#[$attribute])* $field: $type),* }

        impl $crate::record::Stored<$model> for $name {
            fn store(model: &$model) -> Self {
                let $model { $($field),* } = model;
                Self { $($field: $crate::record::Stored::store($field)),* }
            }

            fn load(self) -> Result<$model, $crate::record::RecordError> {
                let Self { $($field),* } = self;
                Ok($model { $($field: $crate::record::Stored::load($field)?),* })
            }
        }
    };
}

macro_rules! record_enum {
    ($name:ident => $model:ident {
        $( $variant:ident $( ($bind:ident : $inner:ty) )?
            $( { $( $(#[$meta:meta])* $field:ident : $type:ty),* $(,)? } )? ),* $(,)?
    }) => {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub(crate) enum $name { $( $variant $( ($inner) )? $( { $( $(#[$meta])* $field: $type),* } )? ),* }

        impl $crate::record::Stored<$model> for $name {
            fn store(model: &$model) -> Self {
                match model { $(
                    $model::$variant $( ($bind) )? $( { $($field),* } )? =>
                        Self::$variant
                            $( (<$inner as $crate::record::Stored<_>>::store($bind)) )?
                            $( { $($field: $crate::record::Stored::store($field)),* } )?
                ),* }
            }

            fn load(self) -> Result<$model, $crate::record::RecordError> {
                Ok(match self { $(
                    Self::$variant $( ($bind) )? $( { $($field),* } )? =>
                        $model::$variant
                            $( ($crate::record::Stored::load($bind)?) )?
                            $( { $($field: $crate::record::Stored::load($field)?),* } )?
                ),* })
            }
        }
    };
}

/// As `record_struct`, of what is pinned to something: the pins are kept once, in a table beside it, and here is their
/// number in it.
macro_rules! pinned_struct {
    ($name:ident => $model:ident { $($field:ident : $type:ty),* $(,)? }) => {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name { $($field: $type,)* pins: u32 }

        impl $name {
            fn store(model: &$model, pinned: &mut $crate::record::v1::settled::Pinned) -> Self {
                let $model { $($field,)* pins } = model;
                Self { $($field: $crate::record::Stored::store($field),)* pins: pinned.number(pins) }
            }

            fn load(
                self,
                pinned: &$crate::record::v1::settled::Pinned,
            ) -> Result<$model, $crate::record::RecordError> {
                let Self { $($field,)* pins } = self;
                Ok($model { $($field: $crate::record::Stored::load($field)?,)* pins: pinned.pins(pins)? })
            }
        }
    };
}

pub(crate) use {pinned_struct, record_enum, record_struct};
