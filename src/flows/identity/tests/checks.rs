//! What is wrong with a call, in the order of spec/flows-additions.md 2.1.

use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;

use super::*;

fn public<T: openssl::pkey::HasPublic>(key: &PKey<T>) -> Value {
    json!(String::from_utf8(key.public_key_to_pem().unwrap()).unwrap())
}

/// One thing wrong with the world of an operation that is right otherwise, or
/// with its body.
type Fault = (u32, fn(&Idp, &mut Value));

const NO_NAMESPACE: Fault = (20013, |idp, _| {
    let none = json!([]);
    let ledger = &idp.node.ledger;
    ledger.answer("GetNamespaceList", Value::Null, none);
});
const NOT_OWN: Fault = (20071, |idp, _| idp.declared("idp1", PERSON, Value::Null));
const NO_MODE: Fault = (10050, |idp, _| idp.declared("idp1", PERSON, json!([])));
const NO_MESSAGE: Fault = (20074, |_, _| {});
const NO_KEY: Fault = (20040, |_, body| body["accessor_public_key"] = json!("aa"));
const NEW_IS_USED: Fault = (20030, |idp, _| idp.accessor("a-new", json!("idp2")));
const OWN_IS_REVOKED: Fault = (20011, |idp, _| idp.accessor("a-own", Value::Null));
const OWN_IS_ANOTHERS: Fault = (20062, |idp, _| idp.accessor("a-own", json!("idp2")));
const IAL_UNKNOWN: Fault = (20094, |_, body| body["ial"] = json!(2.5));
const IAL_TOO_HIGH: Fault = (20021, |idp, _| {
    let ials = json!({"supported_ial_list": [2.3, 9]});
    let ledger = &idp.node.ledger;
    ledger.answer("GetSupportedIALList", Value::Null, ials);
});

/// The faults of each operation of [`bodies`], in the order of its checks.
fn faults() -> [Vec<Fault>; 7] {
    let of_list = |person: &'static str| -> [Fault; 2] {
        match person {
            PERSON => [
                (20096, |_, body| {
                    body["identity_list"] = listed("1345951597672")
                }),
                (20019, |idp, _| idp.declared("idp1", PERSON, json!([2]))),
            ],
            _ => [
                (20096, |_, body| {
                    body["identity_list"] = listed("1000000000018")
                }),
                (20019, |idp, _| {
                    idp.declared("idp1", "1000000000017", json!([2]));
                }),
            ],
        }
    };
    let another_group: Fault = (20069, |idp, _| idp.group("1000000000017", json!("group-2")));
    let [form, held] = of_list(PERSON);
    let [added_form, added_held] = of_list("added");
    [
        vec![
            NO_KEY,
            NO_NAMESPACE,
            form,
            held,
            IAL_UNKNOWN,
            (20021, |idp, body| {
                body["ial"] = json!(9);
                IAL_TOO_HIGH.1(idp, body);
            }),
            NEW_IS_USED,
            NO_MESSAGE,
        ],
        vec![
            NO_NAMESPACE,
            added_form,
            added_held,
            another_group,
            NOT_OWN,
            NO_MESSAGE,
        ],
        vec![NO_KEY, NO_NAMESPACE, NEW_IS_USED, NOT_OWN, NO_MESSAGE],
        vec![NOT_OWN, OWN_IS_REVOKED, NO_MESSAGE],
        vec![OWN_IS_REVOKED, NO_KEY, NEW_IS_USED, NOT_OWN, NO_MESSAGE],
        vec![NO_NAMESPACE, NOT_OWN, NO_MESSAGE],
        vec![NO_NAMESPACE, NOT_OWN, NO_MESSAGE],
    ]
}

/// The modes in which an operation needs consent.
pub(super) fn with_consent(place: usize) -> &'static [u8] {
    match place {
        6 => &[2],
        _ => &[2, 3],
    }
}

/// With every later fault there too, each is found before them.
#[actix::test]
async fn faults_are_found_in_their_order() {
    for (place, faults) in faults().into_iter().enumerate() {
        for first in 0..faults.len() {
            let idp = Idp::knowing(place, with_consent(place));
            let (path, mut body) = bodies().remove(place);
            // Two faults that exclude each other: the earlier is made last.
            for (_, make) in faults[first..].iter().rev() {
                make(&idp, &mut body);
            }
            let expected = faults[first].0;
            let name = OPERATIONS[place].0;
            assert_eq!(
                idp.refused(path, body).await,
                expected,
                "{name}, fault {first}"
            );
            idp.assert_nothing_is_left();
        }
    }
}

#[actix::test]
async fn an_identity_without_a_mode_cannot_be_changed() {
    for place in [2, 3, 4, 6] {
        let idp = Idp::knowing(place, &[2, 3]);
        let (path, mut body) = bodies().remove(place);
        NO_MODE.1(&idp, &mut body);
        assert_eq!(idp.refused(path, body).await, NO_MODE.0, "{path}");
    }
}

#[actix::test]
async fn an_accessor_of_another_idp_cannot_be_revoked() {
    for place in [3, 4] {
        let idp = Idp::knowing(place, &[2]);
        let (path, mut body) = bodies().remove(place);
        OWN_IS_ANOTHERS.1(&idp, &mut body);
        assert_eq!(idp.refused(path, body).await, OWN_IS_ANOTHERS.0, "{path}");
    }
}

#[actix::test]
async fn accessors_have_rsa_keys_of_2048_bits() {
    let group = EcGroup::from_curve_name(Nid::SECP256K1).unwrap();
    let curve = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let short = PKey::from_rsa(Rsa::generate(2047).unwrap()).unwrap();
    let indented = public(&curve).as_str().unwrap().replace('\n', "\n    ");
    for (key, code) in [
        (json!("aa"), 20040),
        (json!(indented), 20040),
        (public(&curve), 20042),
        (public(&short), 20044),
    ] {
        for place in [0, 2, 4] {
            let idp = Idp::knowing(place, &[2]);
            let (path, mut body) = bodies().remove(place);
            body["accessor_public_key"] = key.clone();
            assert_eq!(idp.refused(path, body).await, code, "{path}: {key}");
        }
    }
}

#[actix::test]
async fn identities_of_different_groups_are_not_one_person() {
    let idp = Idp::knowing(0, &[2]);
    idp.group("1000000000017", json!("group-2"));
    let both = json!([listed(PERSON)[0], listed("1000000000017")[0]]);
    let body = with(bodies().remove(0).1, json!({"identity_list": both}));
    assert_eq!(idp.refused("", body).await, 20069);
    let twice = json!([listed(PERSON)[0], listed(PERSON)[0]]);
    let body = with(bodies().remove(0).1, json!({"identity_list": twice}));
    let error = idp.call("", body).await.unwrap_err();
    let faults = &error.details().unwrap()["errors"];
    assert_eq!(faults[0]["keyword"], "uniqueItems");
    assert_eq!(faults[0]["instancePath"], "/identity_list");
}

#[actix::test]
async fn an_identity_of_mode_3_stays_there() {
    let idp = Idp::knowing(6, &[2, 3]);
    let (path, body) = bodies().remove(6);
    assert_eq!(idp.refused(path, body).await, 20073);
}

#[actix::test]
async fn levels_are_checked() {
    let path = "/:namespace/:identifier/ial";
    for (make, ial, code) in [
        (NOT_OWN.1, json!(2.3), 20071),
        (IAL_UNKNOWN.1, json!(2.5), 20094),
        (IAL_TOO_HIGH.1, json!(9), 20021),
    ] {
        let idp = Idp::knowing(1, &[2]);
        let mut body = json!({});
        make(&idp, &mut body);
        body["ial"] = ial;
        assert_eq!(idp.refused(path, body).await, code);
    }
    for level in ["lial", "laal"] {
        let idp = Idp::new();
        let path = format!("/:namespace/:identifier/{level}");
        assert_eq!(idp.refused(&path, json!({level: true})).await, 20071);
    }
}

#[actix::test]
async fn identifiers_may_be_left_unchecked() {
    let mut idp = Idp::new();
    let mut config = idp.node.context.config.as_ref().clone();
    config.validate_identifier = false;
    idp.node.context.config = std::sync::Arc::new(config);
    let wrong = "1345951597672";
    idp.declared("idp1", wrong, Value::Null);
    idp.group(wrong, Value::Null);
    let body = with(
        bodies().remove(0).1,
        json!({"identity_list": listed(wrong)}),
    );
    idp.started("", body).await;
}

#[actix::test]
async fn clients_of_older_versions_may_use_any_identifier() {
    for version in [ApiVersion::V5, ApiVersion::V4] {
        let mut idp = Idp::new();
        idp.version = version;
        let wrong = "1345951597672";
        idp.declared("idp1", wrong, Value::Null);
        idp.group(wrong, Value::Null);
        let listed = json!({"identity_list": listed(wrong)});
        idp.started("", with(bodies().remove(0).1, listed)).await;
    }
}
