//! Texts of the format that follow a rule, as the schema states it. The readers' rules are the stricter ones.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $schema_name:literal, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema_name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

word!(
    /// A time span.
    Duration, "Duration", {
        "description": "Whole numbers with units w, d, h, m, s, ms, the largest first: 30d, 1h30m.",
        "type": "string",
        "pattern": "^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "minLength": 2
    }
);
word!(
    /// A time span, or no end.
    DurationOrNever, "DurationOrNever", {
        "description": "A time span such as 1h30m, or `never`.",
        "type": "string",
        "pattern": "^(never|([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
        "minLength": 2
    }
);
word!(
    /// A name that is one DNS label.
    Label, "Label", {
        "type": "string",
        "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
    }
);
word!(
    /// A secret's name with its namespace.
    FullName, "FullName", {
        "description": "namespace/name",
        "type": "string",
        "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
    }
);
word!(
    /// A name as a consumer's membership authority gives it.
    ReplicaName, "ReplicaName", {
        "type": "string",
        "pattern": "^[!-~]{1,255}$"
    }
);
word!(
    /// A time of the day.
    Clock, "Clock", {
        "description": "HH:MM",
        "type": "string",
        "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
    }
);
word!(
    /// Everybody, or a share.
    QuorumWord, "Quorum", {
        "description": "`all`, or a share such as 80%.",
        "type": "string",
        "pattern": "^(all|[1-9][0-9]?%|100%)$"
    }
);
word!(
    /// The size of a wave.
    WaveWord, "WaveSize", {
        "description": "A number of replicas, a share such as 25%, or `rest`.",
        "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 100_000 },
            { "type": "string", "pattern": "^(rest|[1-9][0-9]?%|100%)$" }
        ]
    }
);
word!(
    /// A plugin's settings.
    AnySettings, "Settings", {
        "description": "As the plugin's documentation describes them.",
        "type": "object"
    }
);
word!(
    /// An absolute path.
    FilePath, "FilePath", {
        "type": "string",
        "pattern": "^/"
    }
);
word!(
    /// A pattern of names.
    NamePattern, "NamePattern", {
        "description": "A name, or one with a single `*` first or last.",
        "type": "string",
        "pattern": "^([^*\\s]+\\*?|\\*[^*\\s]*)$",
        "maxLength": 255
    }
);
