#!/usr/bin/python3
"""What RFC 8995 5.5 asks of a registrar voucher-request, seen from the MASA.

usage: check_rvr.py FILE [--vendor PEM] [--pinned PEM]

FILE is the request as a MASA received it.  Prints each requirement with yes,
no, or - where it does not apply, and exits 1 on any no, 2 if called wrongly.
--vendor: the pledge's certificate must chain to this anchor.  --pinned: the
topmost certificate of the request must be this one.

Written from the RFC's text; openssl verifies signatures and chains, all else
is read here.
"""
import argparse
import base64
import binascii
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile

JSON_VOUCHER = "1.2.840.113549.1.9.16.1.40"  # RFC 8366 8.4
SIGNED_DATA = "1.2.840.113549.1.7.2"
CMC_RA = "1.3.6.1.5.5.7.3.28"
SERIAL_NUMBER = "2.5.4.5"
EXT_AKI = "2.5.29.35"
EXT_EKU = "2.5.29.37"


class Bad(Exception):
    pass


# DER, as much of it as is needed.
def tlv(data, at=0):
    """(tag, value, where the next one starts)"""
    if at + 2 > len(data):
        raise Bad("DER: cut short")
    tag, n, p = data[at], data[at + 1], at + 2
    if n & 0x80:
        k = n & 0x7F
        if not 1 <= k <= 4 or p + k > len(data):
            raise Bad("DER: length")
        n, p = int.from_bytes(data[p:p + k], "big"), p + k
    if p + n > len(data):
        raise Bad("DER: cut short")
    return tag, data[p:p + n], p + n


def items(data):
    at, out = 0, []
    while at < len(data):
        tag, value, end = tlv(data, at)
        out.append((tag, value, data[at:end]))
        at = end
    return out


def one(data, tag):
    got, value, end = tlv(data)
    if got != tag or end != len(data):
        raise Bad("DER: wanted one element of tag %#x" % tag)
    return value


def oid(value):
    if not value:
        raise Bad("DER: empty OID")
    nums, n = [], 0
    for b in value:
        n = n << 7 | b & 0x7F
        if not b & 0x80:
            nums.append(n)
            n = 0
    first = min(nums[0] // 40, 2)
    return ".".join(map(str, [first, nums[0] - 40 * first] + nums[1:]))


class Cert:
    def __init__(self, der):
        self.der = der
        tbs = items(items(one(der, 0x30))[0][1])
        if tbs[0][0] == 0xA0:
            tbs = tbs[1:]
        self.issuer, self.subject = tbs[2][2], tbs[4][2]
        self.spki = tbs[5][2]
        self.names, self.extensions = [], {}
        for _, rdn, _ in items(tbs[4][1]):
            for _, pair, _ in items(rdn):
                kind, value = items(pair)
                self.names.append((oid(kind[1]), value[1]))
        for tag, value, _ in tbs[6:]:
            if tag == 0xA3:
                for _, ext, _ in items(one(value, 0x30)):
                    parts = items(ext)
                    self.extensions[oid(parts[0][1])] = parts[-1][1]

    def serial_number(self):
        found = [v for k, v in self.names if k == SERIAL_NUMBER]
        return found[0].decode("ascii") if len(found) == 1 else None

    def eku(self):
        if EXT_EKU not in self.extensions:
            return []
        return [oid(v) for _, v, _ in
                items(one(self.extensions[EXT_EKU], 0x30))]

    def pem(self):
        text = base64.encodebytes(self.der).decode()
        return ("-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n"
                % text)


def certs_of_pem(text):
    return [Cert(base64.b64decode(b)) for b in re.findall(
        "-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----",
        text, re.S)]


class Signed:
    """A CMS SignedData: its content type, content, signer, certificates."""

    def __init__(self, der, folder, name):
        self.path = os.path.join(folder, name)
        with open(self.path, "wb") as f:
            f.write(der)
        info = items(one(der, 0x30))
        if oid(info[0][1]) != SIGNED_DATA:
            raise Bad("not SignedData")
        data = items(one(info[1][1], 0x30))
        content = items(data[2][1])
        self.type = oid(content[0][1])
        self.content = one(content[1][1], 0x04) if len(content) > 1 else None
        self.signers = len(items(data[-1][1]))
        self.certs = [Cert(raw) for tag, value, _ in data if tag == 0xA0
                      for t, _, raw in items(value) if t == 0x30]
        self.signer, self.why = self.verify()

    def verify(self):
        signer = self.path + ".signer"
        p = subprocess.run(
            ["openssl", "cms", "-verify", "-noverify", "-binary", "-inform",
             "DER", "-in", self.path, "-signer", signer, "-out",
             self.path + ".content"], capture_output=True, text=True)
        if p.returncode != 0:
            return None, p.stderr.strip().splitlines()[-1:]
        with open(signer) as f:
            return certs_of_pem(f.read())[0], ""


def chains(leaf, anchor, untrusted, folder):
    """Whether openssl finds a way from leaf to anchor."""
    paths = []
    for name, certs in (("leaf", [leaf]), ("anchor", [anchor]),
                        ("between", untrusted)):
        paths.append(os.path.join(folder, name))
        with open(paths[-1], "w") as f:
            f.write("".join(c.pem() for c in certs))
    cmd = ["openssl", "verify", "-partial_chain", "-no-CAfile", "-no-CApath",
           "-trusted", paths[1]]
    if untrusted:
        cmd += ["-untrusted", paths[2]]
    return subprocess.run(cmd + [paths[0]], capture_output=True).returncode == 0


def top_of(signed):
    """The chain from the signer upwards by names, and its last one."""
    chain = [signed.signer]
    while chain[-1].issuer != chain[-1].subject:
        above = [c for c in signed.certs if c.subject == chain[-1].issuer
                 and c.der not in [x.der for x in chain]]
        if not above:
            break
        chain.append(above[0])
    return chain


def voucher_of(content):
    def no_twice(pairs):
        names = [k for k, _ in pairs]
        if len(names) != len(set(names)):
            raise Bad("a member is there twice")
        return dict(pairs)
    text = json.loads(content.decode("utf-8"), object_pairs_hook=no_twice)
    if list(text) != ["ietf-voucher-request:voucher"]:
        raise Bad("members at the top: %s" % ", ".join(text))
    return text["ietf-voucher-request:voucher"]


def octets(text):
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None


def date(text):
    if not isinstance(text, str) or not re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text):
        return None
    text = re.sub(r"\.\d+", "", text).replace("Z", "+00:00")
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


class Report:
    def __init__(self):
        self.bad = False

    def say(self, clause, what, ok, why=""):
        word = "-" if ok is None else "yes" if ok else "no"
        self.bad = self.bad or ok is False
        why = "".join(c if c.isprintable() else "?" for c in str(why))
        print("%-3s  %-6s  %s%s" % (word, clause, what,
                                    ": " + why if why and not ok else ""))
        return bool(ok)


def open_voucher(r, der, what, clause, folder):
    try:
        signed = Signed(der, folder, what.replace(" ", "-"))
    except (Bad, IndexError) as e:
        r.say(clause, "%s is a CMS SignedData" % what, False, e)
        return None, None
    r.say(clause, "%s is a CMS SignedData" % what, True)
    r.say("8366", "%s: content is of type id-ct-animaJSONVoucher" % what,
          signed.type == JSON_VOUCHER, signed.type)
    r.say(clause, "%s: exactly one signer" % what, signed.signers == 1)
    if not r.say(clause, "%s: signature holds" % what,
                 signed.signer is not None, signed.why):
        return None, None
    try:
        v = voucher_of(signed.content)
    except (Bad, ValueError, AttributeError, TypeError) as e:
        r.say("3.4", "%s: ietf-voucher-request:voucher in JSON" % what, False,
              e)
        return None, None
    r.say("3.4", "%s: ietf-voucher-request:voucher in JSON" % what,
          isinstance(v, dict))
    return (signed, v) if isinstance(v, dict) else (None, None)


def check_registrar(r, rvr, v, args, folder):
    chain = top_of(rvr)
    r.say("5.5.4", "signer has id-kp-cmcRA", CMC_RA in rvr.signer.eku())
    r.say("5.5.3", "signer chains to the topmost certificate sent",
          chains(rvr.signer, chain[-1], rvr.certs, folder))
    r.say("5.5.2", "the domain's CA came along (self-signed, on top)",
          chain[-1].issuer == chain[-1].subject)
    if args.pinned:
        with open(args.pinned) as f:
            want = certs_of_pem(f.read())[0]
        r.say("5.5.2", "the topmost certificate is the one expected",
              chain[-1].der == want.der)
    made = date(v.get("created-on"))
    if r.say("5.5", "created-on is a date", made is not None,
             v.get("created-on")):
        now = datetime.datetime.now(datetime.timezone.utc)
        r.say("5.5", "created-on is not in the future",
              made <= now + datetime.timedelta(minutes=10), made)
    r.say("5.5", "serial-number is there",
          isinstance(v.get("serial-number"), str) and v["serial-number"])
    return chain


def check_pledge(r, v, prior, p, args, folder):
    idevid = prior.signer
    serial = idevid.serial_number()
    r.say("2.3.1", "the pledge's certificate has one serialNumber",
          serial is not None)
    if args.vendor:
        with open(args.vendor) as f:
            anchor = certs_of_pem(f.read())[0]
        r.say("5.5.5", "the pledge's certificate chains to the vendor",
              chains(idevid, anchor, prior.certs, folder))
    r.say("5.5.5", "serial-number is that of the pledge's certificate",
          v.get("serial-number") == serial, v.get("serial-number"))
    r.say("5.2", "the pledge told the same serial-number",
          p.get("serial-number") == serial, p.get("serial-number"))
    told = v.get("idevid-issuer")
    r.say("5.5", "idevid-issuer, if there, is the AKI of that certificate",
          None if told is None else
          octets(told) == idevid.extensions.get(EXT_AKI, b""))
    nonce = v.get("nonce")
    r.say("5.5.6", "nonce is the pledge's",
          None if nonce is None else nonce == p.get("nonce"))


def check_proximity(r, p, chain):
    r.say("5.2", "the pledge asserts proximity",
          p.get("assertion") == "proximity", p.get("assertion"))
    seen = octets(p.get("proximity-registrar-cert"))
    try:
        key = Cert(seen or b"").spki
    except (Bad, IndexError, ValueError) as e:
        r.say("5.5.5", "proximity-registrar-cert is a certificate", False, e)
        return
    r.say("5.5.5", "proximity-registrar-cert is a certificate", True)
    r.say("5.5.5", "its key is in the chain of the request's signer",
          key in [c.spki for c in chain])


def check(r, der, args, folder):
    rvr, v = open_voucher(r, der, "voucher request", "5.5", folder)
    if rvr is None:
        return
    chain = check_registrar(r, rvr, v, args, folder)
    told = v.get("prior-signed-voucher-request")
    if told is None:
        r.say("5.5", "prior-signed-voucher-request is there",
              None if v.get("nonce") is None else False,
              "left out beside a nonce")
        return
    r.say("5.5", "prior-signed-voucher-request is there", True)
    prior, p = open_voucher(r, octets(told) or b"", "prior request", "5.5.5",
                            folder)
    if prior is None:
        return
    check_pledge(r, v, prior, p, args, folder)
    check_proximity(r, p, chain)


def main():
    parser = argparse.ArgumentParser(
        description="What RFC 8995 5.5 asks of a registrar voucher-request.")
    parser.add_argument("file")
    parser.add_argument("--vendor")
    parser.add_argument("--pinned")
    args = parser.parse_args()
    with open(args.file, "rb") as f:
        der = f.read()
    r = Report()
    with tempfile.TemporaryDirectory() as folder:
        check(r, der, args, folder)
    return 1 if r.bad else 0


if __name__ == "__main__":
    sys.exit(main())
