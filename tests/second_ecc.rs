//! Elliptic curves a second time: P-256 and P-521 on plain integers (`num-bigint`), EC-SDSA and the certificates of
//! format 12 and 14 both ways, with the hashes of `tests/plain`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

mod plain;

use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::ecsdsa::{EcCurve, EcPrivate, EcPublic};
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::issuer::ecc::{EcIccCertificate, EcIssuerCertificate};
use emv_dataprep::issuer::oda::{CaKeyIndex, CertificateSerial, Rid};
use emv_dataprep::secret::Secret;
use num_bigint::BigUint;
use plain::cases::{Cases, each_slow, hex, unhex};

/// y^2 = x^3 - 3x + b over p, order n, generator g (SP 800-186, 3.2.1.3 and 3.2.1.5).
struct Curve {
    p: BigUint,
    n: BigUint,
    g: Point,
    len: usize,
    hash: fn(&[u8]) -> Vec<u8>,
    id: EcCurve,
    suite: &'static str,
}

/// Jacobian: x / z^2, y / z^3; z = 0 is the point at infinity.
#[derive(Clone)]
struct Point(BigUint, BigUint, BigUint);

fn big(hex: &str) -> BigUint {
    BigUint::parse_bytes(hex.as_bytes(), 16).unwrap()
}

fn curve(id: EcCurve) -> Curve {
    let one = BigUint::from(1_u8);
    match id {
        EcCurve::P256 => Curve {
            p: (&one << 256) - (&one << 224) + (&one << 192) + (&one << 96) - &one,
            n: big("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"),
            g: Point(
                big("6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"),
                big("4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"),
                one,
            ),
            len: 32,
            hash: plain::sha::sha256,
            id,
            suite: "10",
        },
        EcCurve::P521 => Curve {
            p: (&one << 521) - &one,
            n: big(&format!(
                "01{}FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
                "F".repeat(64)
            )),
            g: Point(
                big(
                    "00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66",
                ),
                big(
                    "011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650",
                ),
                one,
            ),
            len: 66,
            hash: plain::sha::sha512,
            id,
            suite: "11",
        },
    }
}

impl Curve {
    fn sub(&self, a: &BigUint, b: &BigUint) -> BigUint {
        (a + &self.p - b) % &self.p
    }

    fn mul(&self, a: &BigUint, b: &BigUint) -> BigUint {
        a * b % &self.p
    }

    fn double(&self, Point(x, y, z): &Point) -> Point {
        let zz = self.mul(z, z);
        let yy = self.mul(y, y);
        let s = self.mul(x, &yy) * 4_u8 % &self.p;
        let m = self.mul(&self.sub(x, &zz), &(x + &zz)) * 3_u8 % &self.p;
        let x3 = self.sub(&self.mul(&m, &m), &(&s * 2_u8 % &self.p));
        let y3 = self.sub(&self.mul(&m, &self.sub(&s, &x3)), &(self.mul(&yy, &yy) * 8_u8 % &self.p));
        Point(x3, y3, self.mul(y, z) * 2_u8 % &self.p)
    }

    fn add(&self, a: &Point, b: &Point) -> Point {
        let zero = BigUint::from(0_u8);
        if a.2 == zero {
            return b.clone();
        }
        if b.2 == zero {
            return a.clone();
        }
        let (za, zb) = (self.mul(&a.2, &a.2), self.mul(&b.2, &b.2));
        let (u1, u2) = (self.mul(&a.0, &zb), self.mul(&b.0, &za));
        let (s1, s2) = (self.mul(&a.1, &self.mul(&zb, &b.2)), self.mul(&b.1, &self.mul(&za, &a.2)));
        let (h, r) = (self.sub(&u2, &u1), self.sub(&s2, &s1));
        if h == zero {
            return if r == zero {
                self.double(a)
            } else {
                Point(BigUint::from(1_u8), BigUint::from(1_u8), zero)
            };
        }
        let hh = self.mul(&h, &h);
        let hhh = self.mul(&hh, &h);
        let v = self.mul(&u1, &hh);
        let x = self.sub(&self.sub(&self.mul(&r, &r), &hhh), &(&v * 2_u8 % &self.p));
        let y = self.sub(&self.mul(&r, &self.sub(&v, &x)), &self.mul(&s1, &hhh));
        Point(x, y, self.mul(&self.mul(&a.2, &b.2), &h))
    }

    /// a G + b Q, bit by bit.
    fn combine(&self, a: &BigUint, b: &BigUint, q: &Point) -> Point {
        let both = self.add(&self.g, q);
        let mut sum = Point(BigUint::from(1_u8), BigUint::from(1_u8), BigUint::from(0_u8));
        for i in (0..self.n.bits()).rev() {
            sum = self.double(&sum);
            sum = match (a.bit(i), b.bit(i)) {
                (true, true) => self.add(&sum, &both),
                (true, false) => self.add(&sum, &self.g),
                (false, true) => self.add(&sum, q),
                (false, false) => sum,
            };
        }
        sum
    }

    fn affine(&self, Point(x, y, z): &Point) -> (BigUint, BigUint) {
        let inverse = z.modinv(&self.p).unwrap();
        let square = self.mul(&inverse, &inverse);
        (self.mul(x, &square), self.mul(y, &self.mul(&square, &inverse)))
    }

    fn times_g(&self, k: &BigUint) -> (BigUint, BigUint) {
        self.affine(&self.combine(k, &BigUint::from(0_u8), &self.g))
    }

    fn bytes(&self, n: &BigUint) -> Vec<u8> {
        let bytes = n.to_bytes_be();
        [vec![0; self.len - bytes.len()], bytes].concat()
    }

    fn number(&self, cases: &mut Cases) -> BigUint {
        BigUint::from_bytes_be(&cases.bytes(self.len + 8)) % (&self.n - 1_u8) + 1_u8
    }

    /// Private number, public x: the number is turned where y is the larger of the two.
    fn key(&self, d: &BigUint) -> (BigUint, Vec<u8>) {
        let (x, y) = self.times_g(d);
        let d = if &y * 2_u8 > self.p { &self.n - d } else { d.clone() };
        (d, self.bytes(&x))
    }

    fn sign(&self, d: &BigUint, k: &BigUint, message: &[u8]) -> Vec<u8> {
        let (x, _) = self.times_g(k);
        let r = (self.hash)(&[&self.bytes(&x)[..], message].concat());
        let s = (k + BigUint::from_bytes_be(&r) * d) % &self.n;
        [r, self.bytes(&s)].concat()
    }

    /// The point of an x with the smaller y: a root by exponentiation, p is 3 modulo 4 on both curves.
    fn point(&self, x: &[u8]) -> Point {
        let x = BigUint::from_bytes_be(x);
        let b = self.sub(&self.mul(&self.g.1, &self.g.1), &self.cubic(&self.g.0));
        let square = (self.cubic(&x) + b) % &self.p;
        let y = square.modpow(&((&self.p + 1_u8) >> 2), &self.p);
        assert_eq!(self.mul(&y, &y), square, "no point has this x");
        let y = if &y * 2_u8 > self.p { &self.p - y } else { y };
        Point(x, y, BigUint::from(1_u8))
    }

    /// x^3 - 3x.
    fn cubic(&self, x: &BigUint) -> BigUint {
        self.sub(&self.mul(&self.mul(x, x), x), &(x * 3_u8 % &self.p))
    }

    fn verify(&self, x: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let (r, s) = signature.split_at(signature.len() - self.len);
        let minus_r = &self.n - BigUint::from_bytes_be(r) % &self.n;
        let k = self.combine(&BigUint::from_bytes_be(s), &minus_r, &self.point(x));
        let (x, _) = self.affine(&k);
        (self.hash)(&[&self.bytes(&x)[..], message].concat()) == r
    }
}

fn signatures(id: EcCurve, name: &str) {
    let curve = curve(id);
    let mut rng = Seed::fixed([4; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer).rng();
    each_slow(name, |cases| {
        let (d, k, message) = (curve.number(cases), curve.number(cases), cases.up_to(100));
        let (turned, x) = curve.key(&d);
        let private = EcPrivate::new(id, &Secret::new(curve.bytes(&d))).unwrap();
        assert_eq!(private.public().x(), x);
        // The library reads what the plain computation signs …
        let signature = curve.sign(&turned, &k, &message);
        let public = EcPublic::new(id, &x).unwrap();
        public.verify(&message, &signature).unwrap();
        let mut wrong = signature;
        let at = cases.below(wrong.len() as u64) as usize;
        wrong[at] ^= 1 << cases.below(8);
        assert!(public.verify(&message, &wrong).is_err());
        // … and the plain computation what the library signs.
        let signature = private.sign(&message, &mut rng).unwrap();
        assert!(curve.verify(&x, &message, &signature));
    });
}

#[test]
fn signatures_on_p256() {
    signatures(EcCurve::P256, "p256");
}

#[test]
fn signatures_on_p521() {
    signatures(EcCurve::P521, "p521");
}

/// Certificates on text, signed by a few plain keys; the certified key is on either curve.
#[test]
fn certificates_both_ways() {
    let mut rng = Seed::fixed([4; 32]).named_stream(b"certificates", Purpose::TestIssuer).rng();
    let curves = [curve(EcCurve::P256), curve(EcCurve::P521)];
    let mut draw = Cases::new("ec-signers");
    let keys: Vec<(BigUint, Vec<u8>)> = curves.iter().map(|c| c.key(&c.number(&mut draw))).collect();
    each_slow("ec-certificates", |cases| {
        // P-521 now and then: it is slow here.
        let at = usize::from(cases.below(8) == 0);
        let (signer, (d, x)) = (&curves[at], &keys[at]);
        let signing = EcPrivate::new(signer.id, &Secret::new(signer.bytes(d))).unwrap();
        let of = usize::from(cases.below(8) == 0);
        let (_, certified) = curves[of].key(&curves[of].number(cases));
        let key = EcPublic::new(curves[of].id, &certified).unwrap();
        let digits = 3 + cases.below(6) as usize;
        let (identifier, year) = (cases.digits(digits), cases.digits(2));
        let day = format!("{year}{:02}{:02}", 1 + cases.below(12), 1 + cases.below(28));
        let (serial, rid, index): ([u8; 3], [u8; 5], u8) = (cases.array(), cases.array(), cases.next() as u8);
        let signed = unhex(&format!(
            "1200{identifier:F<10}{}20{day}{}{}{index:02X}{}",
            curves[of].suite,
            hex(&serial),
            hex(&rid),
            hex(&certified)
        ));
        let certificate = EcIssuerCertificate {
            identifier: identifier.parse().unwrap(),
            expiry: CardDate::from_yymmdd(&day).unwrap(),
            serial: CertificateSerial(serial),
            rid: Rid(rid),
            ca_index: CaKeyIndex(index),
            key,
        };
        assert_eq!(certificate.to_be_signed(), signed);
        let k = signer.number(cases);
        let whole = [&signed[..], &signer.sign(d, &k, &signed)].concat();
        assert_eq!(EcIssuerCertificate::verify(&whole, signing.public()).unwrap(), certificate);
        let made = certificate.sign(&signing, &mut rng).unwrap();
        assert!(signer.verify(x, &signed, &made[signed.len()..]));

        let (_, card) = curves[0].key(&curves[0].number(cases));
        let (serial, hash): ([u8; 6], [u8; 32]) = (cases.array(), cases.array());
        let (hour, minute) = (cases.below(24), cases.below(60));
        let signed = unhex(&format!(
            "14000020{day}{hour:02}{minute:02}{}0102{}{}",
            hex(&serial),
            hex(&hash),
            hex(&card)
        ));
        let certificate = EcIccCertificate {
            suite: 0,
            expiry: CardDate::from_yymmdd(&day).unwrap(),
            expiry_time: unhex(&format!("{hour:02}{minute:02}")).try_into().unwrap(),
            serial,
            iccd_hash: hash,
            key: EcPublic::new(EcCurve::P256, &card).unwrap(),
        };
        assert_eq!(certificate.to_be_signed(), signed);
        let whole = [&signed[..], &signer.sign(d, &k, &signed)].concat();
        assert_eq!(EcIccCertificate::verify(&whole, signing.public()).unwrap(), certificate);
    });
}
