"""Devices of a house, good and odd, by name; each with its chain in one file."""
import os
import subprocess

from house import FACTORY, run

# Keys that sign besides P-256: what openssl genpkey is asked for.
KEYS = {
    "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa1024": ["RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
    "rsa3072": ["RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    "p192": ["EC", "-pkeyopt", "ec_paramgen_curve:P-192"],
    "rsa4096": ["RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "p384": ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "p521": ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "ed25519": ["ED25519"],
    "ed448": ["ED448"],
    "p256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
}
USUAL = ["keyUsage=critical,digitalSignature", "basicConstraints=CA:FALSE"]
# Those that are no devices to be believed: subject and extensions.
ODD = {
    "encrypts": ("/O=Example Vendor/CN=encrypts/serialNumber=encrypts",
                 ["keyUsage=critical,keyEncipherment"]),
    "authority": ("/O=Example Vendor/CN=authority/serialNumber=authority",
                  ["keyUsage=critical,digitalSignature,keyCertSign",
                   "basicConstraints=critical,CA:TRUE"]),
    "server": ("/O=Example Vendor/CN=server/serialNumber=server",
               USUAL + ["extendedKeyUsage=serverAuth"]),
    "critical": ("/O=Example Vendor/CN=critical/serialNumber=critical",
                 USUAL + ["1.3.6.1.4.1.32473.1=critical,DER:0500"]),
    "lra": ("/O=Site/CN=lra", USUAL),
    "nameless": ("/O=Example Vendor/CN=nameless", USUAL),
}


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Identities:
    """What as=NAME, other=NAME, tls=NAME mean."""

    def __init__(self, house, client):
        self.house, self.client, self.made = house, client, 0
        self.folder = house.folder + "/devices"
        self.known = {}
        stranger = house.folder + "/stranger"
        run(FACTORY, "init", stranger)
        run(FACTORY, "device", stranger, "stranger", "--out",
            self.folder + "/stranger")
        self.join("stranger")

    def path(self, name):
        return f"{self.folder}/{name}"

    def join(self, name, chain=None):
        """Certificate and chain as one file; the name is known from now on."""
        base = self.path(name)
        with open(base + ".pem", "w", encoding="ascii") as out:
            for part in (base + ".crt", chain or base + ".chain.pem"):
                with open(part, encoding="ascii") as f:
                    out.write(f.read())
        self.known[name] = (base + ".pem", base + ".key")
        return self.known[name]

    def factory_new(self, name):
        self.house.device(name)
        return self.join(name)

    def odd(self, name, key, subject, extensions):
        """Under the vendor's sub-CA, by openssl."""
        base, sub = self.path(name), self.house.vendor + "/vendor-sub"
        openssl("genpkey", "-algorithm", *key, "-out", base + ".key")
        os.chmod(base + ".key", 0o600)
        openssl("req", "-new", "-key", base + ".key", "-subj", subject,
                "-out", base + ".csr")
        with open(base + ".ext", "w", encoding="ascii") as f:
            f.write("\n".join(extensions + [
                "subjectKeyIdentifier=hash",
                "authorityKeyIdentifier=keyid"]) + "\n")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", sub + ".crt",
                "-CAkey", sub + ".key", "-days", "30", "-extfile",
                base + ".ext", "-out", base + ".crt")
        return self.join(name, sub + ".crt")

    def enrolled(self, name, device):
        """The LDevID of a device that was never seen before."""
        cert, key = self.factory_new(device)
        base = self.path(name)
        said = subprocess.run(
            self.client + ["ir", "--implicit", "--cert", cert, "--key", key,
                           "--new-key", base + ".key", "--out", base + ".crt"],
            capture_output=True, text=True, check=False)
        assert said.returncode == 0 and os.path.exists(base + ".crt"), \
            (name, said.stdout, said.stderr)
        return self.join(name, self.house.ra + "/domain-ca.crt")

    def get(self, name):
        """(certificates, key) of this name, made when first asked for."""
        if name in self.known:
            return self.known[name]
        if name in ("fresh", "fresh-ldevid"):
            self.made += 1
            device = f"fresh-{self.made}"
            if name == "fresh":
                return self.factory_new(device)
            return self.enrolled(device + "-ldevid", device)
        if name.endswith("ldevid"):
            return self.enrolled(name, name + "-device")
        if name in KEYS:
            subject = f"/O=Example Vendor/CN={name}/serialNumber={name}"
            return self.odd(name, KEYS[name], subject, USUAL)
        if name in ODD:
            return self.odd(name, KEYS["p256"], *ODD[name])
        return self.factory_new(name)
