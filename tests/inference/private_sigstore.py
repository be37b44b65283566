"""A Sigstore of the tests' own: its authorities are three keys, and nothing is fetched.

It signs as Sigstore does, so that the library's own verifier can be asked: a certificate for an
identity, which a log of certificates has countersigned (RFC 6962), and an entry in a transparency
log (Rekor's `dsse`), whose tree has one leaf.
"""

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from model_signing import signing

from tests.inference.keys import write_keys

NOW = datetime.now(UTC).replace(microsecond=0)
SECONDS = int(NOW.timestamp())
ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")  # of the identity, in Fulcio's certificates
TIMESTAMPS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(spki(key)).digest()


def signed(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


class PrivateSigstore:
    """An authority for certificates, a log of them, and a log of signatures."""

    def __init__(self) -> None:
        self.authority, self.certificates, self.entries = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(3)
        )
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the tests' authority")])
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        )
        self.usage = usage | {"encipher_only": False, "decipher_only": False}
        self.root = (
            self._certificate(self.name, self.authority)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(self._usage(signs_certificates=True), critical=True)
            .sign(self.authority, hashes.SHA256())
        )

    def trust_config(self) -> str:
        """What a receiver has to trust, in Sigstore's form."""
        valid = {"start": (NOW - timedelta(days=1)).isoformat().replace("+00:00", "Z")}

        def log(key: ec.EllipticCurvePrivateKey) -> dict:
            details = "PKIX_ECDSA_P256_SHA_256"
            public = {"rawBytes": b64(spki(key)), "keyDetails": details, "validFor": valid}
            name = {"keyId": b64(key_id(key))}
            address = "https://log.example"
            return {"baseUrl": address, "hashAlgorithm": "SHA2_256", "publicKey": public} | {
                "logId": name
            }

        chain = {"certificates": [{"rawBytes": b64(self.root.public_bytes(Encoding.DER))}]}
        kind = "application/vnd.dev.sigstore"
        root = {
            "mediaType": f"{kind}.trustedroot+json;version=0.1",
            "tlogs": [log(self.entries)],
            "ctlogs": [log(self.certificates)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "tests", "commonName": "tests"},
                    "uri": "https://authority.example",
                    "certChain": chain,
                    "validFor": valid,
                }
            ],
            "timestampAuthorities": [],
        }
        config = {
            "mediaType": f"{kind}.signingconfig.v0.2+json",
            "caUrls": [],
            "oidcUrls": [],
            "rekorTlogUrls": [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [],
            "tsaConfig": {"selector": "ANY"},
        }
        return json.dumps(
            {
                "mediaType": f"{kind}.clienttrustconfig.v0.1+json",
                "trustedRoot": root,
                "signingConfig": config,
            }
        )

    def sign(self, folder: Path, file: Path, identity: str, provider: str) -> None:
        """Sign `folder` into `file` as `identity`, for whom `provider` vouches."""
        key = ec.generate_private_key(ec.SECP256R1())
        write_keys(file.parent, "moment", key)
        config = signing.Config().use_elliptic_key_signer(private_key=file.parent / "moment.pem")
        config.sign(folder, file)  # the same envelope
        bundle = json.loads(file.read_text())
        signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
        certificate = self._leaf(key, identity, provider)
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
        bundle["verificationMaterial"] = {
            "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
            "tlogEntries": [self._entry(payload, signature, certificate)],
        }
        file.write_text(json.dumps(bundle))

    def _leaf(self, key, identity: str, provider: str) -> x509.Certificate:
        issuer = x509.UnrecognizedExtension(ISSUER, provider.encode())
        address = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        signing_code = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key())
        builder = (
            self._certificate(x509.Name([]), key)
            .add_extension(self._usage(signs_certificates=False), critical=True)
            .add_extension(signing_code, critical=False)
            .add_extension(address, critical=True)
            .add_extension(authority, critical=False)
            .add_extension(issuer, critical=False)
        )
        before = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        length = struct.pack("!I", len(before))[1:]
        entry = key_id(self.authority) + length + before
        message = struct.pack("!BBQH", 0, 0, SECONDS * 1000, 1) + entry + struct.pack("!H", 0)
        signature = signed(self.certificates, message)
        timestamp = struct.pack(
            "!B32sQHBBH", 0, key_id(self.certificates), SECONDS * 1000, 0, 4, 3, len(signature)
        )
        timestamp += signature
        listed = struct.pack("!HH", len(timestamp) + 2, len(timestamp)) + timestamp
        extension = x509.UnrecognizedExtension(TIMESTAMPS, bytes([4, len(listed)]) + listed)
        return builder.add_extension(extension, critical=False).sign(
            self.authority, hashes.SHA256()
        )

    def _entry(self, payload: bytes, signature: bytes, certificate: x509.Certificate) -> dict:
        digest = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
        verifier = b64(certificate.public_bytes(Encoding.PEM))
        spec = {"envelopeHash": digest, "payloadHash": digest}
        spec["signatures"] = [{"signature": b64(signature), "verifier": verifier}]
        body = json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}).encode()
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"log.example\n1\n{b64(root)}\n"
        note_signature = b64(key_id(self.entries)[:4] + signed(self.entries, note.encode()))
        promise = {
            "body": b64(body),
            "integratedTime": SECONDS,
            "logID": key_id(self.entries).hex(),
            "logIndex": 0,
        }
        promised = json.dumps(promise, separators=(",", ":")).encode()
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(key_id(self.entries))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(SECONDS),
            "inclusionPromise": {"signedEntryTimestamp": b64(signed(self.entries, promised))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n— log.example {note_signature}\n"},
            },
            "canonicalizedBody": b64(body),
        }

    def _certificate(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(minutes=5))
            .not_valid_after(NOW + timedelta(minutes=5))
            .add_extension(identifier, critical=False)
        )

    def _usage(self, signs_certificates: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs_certificates,
            key_cert_sign=signs_certificates,
            crl_sign=False,
            **self.usage,
        )
