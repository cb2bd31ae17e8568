//! Makes values of any readable type, so that their bytes show the type's
//! layout. The value of a member follows from its name, so the bytes change
//! when members change places. Every variant of every enum is in one of the
//! values.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// More values than it takes to meet the rarest variant.
const MOST: usize = 10_000;

/// A number of a kind, for everything that has 16 bits.
const KIND: u16 = 26;

/// Values that show the layout of a type. In the last one, everything optional
/// is absent.
pub(super) fn samples<T: DeserializeOwned>() -> Vec<T> {
    all_of(Sampler::default())
}

/// The same of a type that is written as JSON, which knows the type of a value.
pub(super) fn samples_of_json<T: DeserializeOwned>() -> Vec<T> {
    all_of(Sampler {
        are_types_known: true,
        ..Sampler::default()
    })
}

fn all_of<T: DeserializeOwned>(mut sampler: Sampler) -> Vec<T> {
    let mut samples = Vec::new();
    for _ in 0..MOST {
        (sampler.count, sampler.is_new) = (0, samples.is_empty());
        let sample = T::deserialize(&mut sampler).expect("every type that is stored can be read");
        if sampler.is_new || sampler.are_options_absent {
            samples.push(sample);
        }
        if sampler.are_options_absent {
            return samples;
        }
        sampler.are_options_absent = sampler.variants.values().all(|(next, all)| next >= all);
    }
    panic!("a variant is in no value");
}

/// A deserializer that invents what it reads.
#[derive(Default)]
struct Sampler {
    /// The last value made.
    count: u8,
    /// By name of an enum and of its variants: the next variant, and how many
    /// there are.
    variants: BTreeMap<(&'static str, String), (u32, u32)>,
    are_options_absent: bool,
    are_types_known: bool,
    /// A variant came for the first time.
    is_new: bool,
}

impl Sampler {
    fn next(&mut self) -> u8 {
        self.count = self.count.wrapping_add(1);
        self.count
    }

    fn text(&mut self) -> String {
        format!("text {}", self.next())
    }
}

#[derive(Debug)]
struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl de::Error for Unreadable {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Makes numbers of several bytes, where the type has room for them.
macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty: $from:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
            let number = <$type>::from(self.next());
            visitor.$visit($from + number)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Sampler {
    type Error = Unreadable;

    numbers! {
        deserialize_i8 visit_i16 i16: 0;
        deserialize_i16 visit_i16 i16: -1000;
        deserialize_i32 visit_i32 i32: -100_000;
        deserialize_i64 visit_i64 i64: -10_000_000_000;
        deserialize_u8 visit_u8 u8: 0;
        deserialize_u32 visit_u32 u32: 100_000;
        deserialize_u64 visit_u64 u64: 10_000_000_000;
        deserialize_f32 visit_f32 f32: 0.5;
        deserialize_f64 visit_f64 f64: 0.5;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_u16(KIND)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_bool(!self.are_options_absent)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_char('c')
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_string(self.text())
    }

    /// As many bytes as an id has.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_bytes(&[self.next(); 16])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_byte_buf(vec![self.next(); 3])
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.are_options_absent {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(Elements(self, 2))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(Elements(self, length))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(Elements(self, length))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_map(Elements(self, 2))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(Members(self, fields.iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        let all = variants.len() as u32;
        let key = (name, variants.join(" "));
        let (next, _) = self.variants.entry(key).or_insert((0, all));
        self.is_new |= *next < all;
        let variant = *next % all;
        *next += 1;
        visitor.visit_enum(Variant(self, variant))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.are_types_known {
            true => self.deserialize_u32(visitor),
            false => Err(Unreadable("the codec does not know types".to_owned())),
        }
    }

    serde::forward_to_deserialize_any! { i128 u128 identifier ignored_any }
}

/// This many values.
struct Elements<'a>(&'a mut Sampler, usize);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unreadable> {
        if self.1 == 0 {
            return Ok(None);
        }
        self.1 -= 1;
        seed.deserialize(&mut *self.0).map(Some)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unreadable> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Unreadable> {
        seed.deserialize(&mut *self.0)
    }
}

/// The members of a struct.
struct Members<'a>(&'a mut Sampler, std::slice::Iter<'static, &'static str>);

impl<'de> SeqAccess<'de> for Members<'_> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unreadable> {
        let Some(name) = self.1.next() else {
            return Ok(None);
        };
        let step = |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte);
        self.0.count = name.bytes().fold(0, step);
        seed.deserialize(&mut *self.0).map(Some)
    }
}

/// A variant by its index.
struct Variant<'a>(&'a mut Sampler, u32);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Unreadable;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), Unreadable> {
        let place: U32Deserializer<Unreadable> = self.1.into_deserializer();
        Ok((seed.deserialize(place)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Unreadable;

    fn unit_variant(self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, Unreadable> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(Elements(self.0, length))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(Members(self.0, fields.iter()))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::samples;
    use crate::job::{Stored, codec};

    #[derive(Serialize, Deserialize)]
    enum Way {
        Plain,
        Of { one: u64, two: Option<String> },
    }

    #[derive(Serialize, Deserialize)]
    enum Changed {
        Plain,
        Of { two: Option<String>, one: u64 },
    }

    #[derive(Serialize, Deserialize)]
    struct Pair {
        one: u64,
        two: u64,
    }

    #[derive(Serialize, Deserialize)]
    struct Swapped {
        two: u64,
        one: u64,
    }

    impl Stored for Way {}
    impl Stored for Changed {}
    impl Stored for Pair {}
    impl Stored for Swapped {}

    fn bytes<T: Stored>() -> Vec<Vec<u8>> {
        samples::<T>().iter().map(codec::encode).collect()
    }

    #[test]
    fn whatever_changes_in_a_layout_changes_the_bytes_of_its_samples() {
        assert_ne!(bytes::<Pair>(), bytes::<Swapped>());
        assert_ne!(bytes::<Way>(), bytes::<Changed>());
        assert_eq!(bytes::<Way>(), bytes::<Way>());
    }

    #[test]
    fn every_variant_is_in_a_sample_and_so_is_what_is_absent() {
        let ways = samples::<Way>();
        assert!(ways.iter().any(|way| matches!(way, Way::Plain)));
        let two = |way: &Way| matches!(way, Way::Of { two: Some(_), .. });
        assert!(ways.iter().any(two));
        let absent = samples::<Option<u64>>();
        assert_eq!(absent.last(), Some(&None));
    }
}
