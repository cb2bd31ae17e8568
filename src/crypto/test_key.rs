//! The throw-away key of the specified test vectors (spec/messaging-and-crypto.md 10).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::{PKey, Private};

const PKCS8: &str = concat!(
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCTR90bZMxvNvQqhM2abPkooQ5Bxsg0lyTLnNZL",
    "EaMEO1bofPBN0QlDjgHAqjZaTVMQmjT+HKXAJcK/s8yBgHpzq3dgI8Y0e182PhgU/sZIpDSD6bPDI6E0U2/Re742",
    "qSbOawPZaNqTZJDuJO0MCHhtIqiyn4ibwCAAnpeYnwvxPuawNOO//B0eIKNnSZsggYuAo2YfZWz8RLS52k+QSt3W",
    "stHkWPJZoBhN6jrvj+GhFbQpOX7apuB6sYiQq19heC86qOTO2vjFb6AUMhIt+g7VshlCcRFqi7QV/ve5WY7pMzOE",
    "MuRAWmZi0PBB444IAFQWYUNiLjeG9c38cKyiita1AgMBAAECggEAC3ajehddZiaj2I9fpW5n8kae4nXDbXx6K7L4",
    "Zv1nb9PijtPyrEvh6bUq48Eb2+l61qb6CvFV4V/PCbbH6yiB33DwKLaAHeOgZItuumueKVdGkyHkkQK78GOyJ173",
    "Ti/aSmS/9vMXWDOSqEaNgMtD/FKfSM/sBRtuIj411HZEqrE5by5Tf6xI0o3tFSISEZRSiRyoiSrBEEoUiRlfobCp",
    "E4s9NLTClod09KNovjVME5php8b77/WYT8lU0YmMzjc4FrWS0jyKbMBosfzWO9ah1QKsBg0QqCUXuHmGmHLqpV4q",
    "veNMvtj3lrMeIHc4NALONikEIOrZBiCvoTHlkf9uXQKBgQDC/1hXdhQdk+vURhb/unQJf19eVlWoU4S3o/U4RI4d",
    "vKejIHPw1hzoL1SCKYHj8J4oKOhQ77xZ4hsY+4wJ/YAInGVpZCZGGl0kIf2q57QRGwoF3/C1Aonz9VZ8ZjVttzUY",
    "4w8nz/NmILEXX5PpJOKAOtfCh2uy4kVOQkx2TfP34wKBgQDBWw4ZD6ahf7rf8Giymi04QnKrzYN8cGIzBtf0qgXI",
    "ePrvVSKerrh2H98TLaMUepga0sQew6TNsNhzWmLRHIC+FXkN64QIxe4gfKROv+57nTjcfrOdo0oTW6ovPmN1vqyL",
    "vxlD/BXHHOakwu1lY9gB4UwPlmhJRjQMmxmVo67KhwKBgQCUWjgXslnzdsqAoSJ2RKBraWBhIUXh3kimfjLeMCn/",
    "LbxMOzB6Fiu/6eJddL7BcBqjaxv0F7AwofkDtL0CDL8PzgzJdcw4oW4jQ0j+cXFpYizp80nqLJhP5mN6GTik1DGt",
    "UXICVA9Vr6GLqseZJNq9vAbSlLy3R7Z6p64Mg5oNCQKBgQCQdz3zT5RKeirgArnXKAa9UDhpUOX65eUZBvX3ocks",
    "XefvRgbV1OmRqIJ9y81bEbXv5KYP7lGGNamjllbaspcmbtjBo8RE4c3ni/kftZuz1GaVqDz/fO9tw0FGhzC82rgE",
    "ucVg3EpROLDDTbkd1hmgXfr8cn58sO1WtdPJ0EBapQKBgDKS3Rrc4hA2Vwn3g04J7yk0wyHGR+8bZoqtqKj71VJn",
    "ZaApsQjuC7bCPA7ZBemeInK9q+tmoWV5nYRnj+4HsHgOY1qMuIW1V5ll7aLs9tdDmF5xmF/u6r/7RXj7YppXUk8V",
    "HYWfl0jftrPeJPhT+rEVMYgr3988cpX070uqnFMC",
);

/// The private key.
pub fn private() -> PKey<Private> {
    PKey::private_key_from_der(&STANDARD.decode(PKCS8).unwrap()).unwrap()
}

/// Its public half as PEM.
pub fn public_pem() -> String {
    String::from_utf8(private().public_key_to_pem().unwrap()).unwrap()
}
