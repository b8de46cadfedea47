//! Serde for types whose serialized form is their text form.

/// Implements `Serialize` by `Display` and `Deserialize` by `FromStr`.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|error| {
                    // The value as well, shortened: a request may hold many.
                    let value: String = text.chars().take(80).collect();
                    serde::de::Error::custom(format_args!("{error}, not `{value}`"))
                })
            }
        }
    };
}

pub(crate) use serde_as_text;
