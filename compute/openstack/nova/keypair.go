package nova

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"hash/fnv"
	"math/big"
	"net/http"
	"sort"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kamado/kamado/compute"
)

// keyBits is the size of keys made here, as Nova's.
const keyBits = 2048

// publicKeyMax bounds a public key; an RSA key of 16384 bits has 2.8 KB.
const publicKeyMax = 16384

// serial makes the number that old clients know a thing by: its row has none.
func serial(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return int(h.Sum32()>>1) | 1
}

// keypairBrief is a keypair in a list.
func (c *call) keypairBrief(k *compute.Keypair) object {
	o := object{"name": k.Name, "public_key": k.PublicKey, "fingerprint": k.Fingerprint}
	if c.v >= 2 {
		o["type"] = k.Type
	}
	return o
}

// keypairOwner is whose keypairs are asked for: the caller's, or from 2.10 on
// anybody's for an administrator.
func (c *call) keypairOwner(asked string) (string, error) {
	if c.v < 10 || asked == "" || asked == c.Caller.UserID {
		return c.Caller.UserID, nil
	}
	if !c.Caller.Admin() {
		return "", compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:os-keypairs to be performed.")
	}
	return asked, nil
}

func (a *API) listKeypairs(c *call) error {
	q := c.URL.Query()
	owner, err := c.keypairOwner(q.Get("user_id"))
	if err != nil {
		return err
	}
	p := page{limit: LimitMax}
	if c.v >= 35 {
		if p, err = c.page(); err != nil {
			return err
		}
	}
	var rows []*compute.Keypair
	err = c.read(func(tx *compute.Tx) error {
		rows, err = tx.Keypairs.List(compute.Query{Where: compute.Where{"user_id": owner}})
		return err
	})
	if err != nil {
		return err
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Name < rows[j].Name })
	rows, more, err := cut(p, rows, func(k *compute.Keypair) string { return k.Name })
	if err != nil {
		return err
	}
	views := []object{}
	for _, k := range rows {
		views = append(views, object{"keypair": c.keypairBrief(k)})
	}
	o := object{"keypairs": views}
	if more && c.v >= 35 && len(rows) > 0 {
		o["keypairs_links"] = c.nextLink("/os-keypairs", rows[len(rows)-1].Name)
	}
	return c.json(http.StatusOK, o)
}

func (a *API) showKeypair(c *call) error {
	owner, err := c.keypairOwner(c.URL.Query().Get("user_id"))
	if err != nil {
		return err
	}
	name := c.PathValue("name")
	return c.read(func(tx *compute.Tx) error {
		k, err := tx.Keypairs.Get(compute.KeypairID(owner, name))
		if err != nil {
			return unknown(err, "Keypair %s not found for user %s", name, owner)
		}
		o := c.keypairBrief(k)
		o["user_id"], o["id"] = k.UserID, serial(k.ID)
		o["created_at"], o["updated_at"], o["deleted_at"], o["deleted"] = stampMicro(k.Created), nil, nil, false
		return c.json(http.StatusOK, object{"keypair": o})
	})
}

func (a *API) deleteKeypair(c *call) error {
	owner, err := c.keypairOwner(c.URL.Query().Get("user_id"))
	if err != nil {
		return err
	}
	name := c.PathValue("name")
	err = c.write(func(tx *compute.Tx) error {
		return unknown(tx.Keypairs.Delete(compute.KeypairID(owner, name)), "Keypair %s not found for user %s", name, owner)
	})
	if err != nil {
		return err
	}
	if c.v < 2 {
		return c.empty(http.StatusAccepted)
	}
	return c.empty(http.StatusNoContent)
}

// keypairSchema is what a request for a keypair holds in the microversion.
func (c *call) keypairSchema() check {
	f := fields{"name": matching(`^[a-zA-Z0-9 _-]+$`, 255), "public_key": text(0, publicKeyMax)}
	required := []string{"name"}
	if c.v >= 2 {
		f["type"] = oneOf("ssh", "x509")
	}
	if c.v >= 10 {
		f["user_id"] = text(1, 255)
	}
	if c.v >= 92 { // keys are no longer made here
		f["name"] = matching(`^[a-zA-Z0-9 @._-]+$`, 255)
		required = append(required, "public_key")
	}
	return objectOf(fields{"keypair": objectOf(f, required...)}, "keypair")
}

func (a *API) createKeypair(c *call) error {
	body, err := c.body(c.keypairSchema())
	if err != nil {
		return err
	}
	in := sub(body, "keypair")
	owner, err := c.keypairOwner(str(in, "user_id"))
	if err != nil {
		return err
	}
	k := &compute.Keypair{UserID: owner, Name: str(in, "name"), Type: "ssh", Created: a.Now().UTC()}
	if t := str(in, "type"); t != "" {
		k.Type = t
	}
	k.ID = compute.KeypairID(owner, k.Name)
	if k.Name != strings.TrimSpace(k.Name) {
		return mismatch("name", k.Name, "Keypair data is invalid: Keypair name must not start or end with white space")
	}
	private := ""
	if _, given := in["public_key"]; given {
		k.PublicKey = str(in, "public_key")
	} else if private, k.PublicKey, err = generateKey(k.Type, owner, a.Now()); err != nil {
		return err
	}
	if k.Fingerprint, err = fingerprint(k.Type, k.PublicKey); err != nil {
		return err
	}
	if err := c.write(func(tx *compute.Tx) error { return insertKeypair(tx, c.Caller, k) }); err != nil {
		return err
	}
	o := c.keypairBrief(k)
	o["user_id"] = k.UserID
	if private != "" {
		o["private_key"] = private
	}
	code := http.StatusOK
	if c.v >= 2 {
		code = http.StatusCreated
	}
	return c.json(code, object{"keypair": o})
}

// insertKeypair keeps a keypair if its owner may have one more.
func insertKeypair(tx *compute.Tx, who compute.Caller, k *compute.Keypair) error {
	limit, err := tx.Limit(who.ProjectID, compute.QuotaKeypairs)
	if err != nil {
		return err
	}
	has, err := tx.Keypairs.Count(compute.Query{Where: compute.Where{"user_id": k.UserID}})
	if err != nil {
		return err
	}
	if limit != compute.Unlimited && has >= limit {
		return compute.Errorf(compute.OverQuota, "Quota exceeded, too many key pairs.")
	}
	if err := tx.Keypairs.Insert(k); compute.IsKind(err, compute.Conflict) {
		return conflict("Key pair '%s' already exists.", k.Name)
	} else if err != nil {
		return err
	}
	return nil
}

// generateKey makes a key: RSA, which every guest of the last decades takes; for
// x509 a certificate of the user's own with it.
func generateKey(kind, user string, now time.Time) (private, public string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return "", "", fmt.Errorf("make a keypair: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if kind == "x509" {
		public, err = certificate(key, user, now)
		return string(block), public, err
	}
	pub, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", fmt.Errorf("make a keypair: %w", err)
	}
	return string(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))) + " Generated-by-Nova", nil
}

// certificateLife is how long a certificate made here is valid, as Nova's.
const certificateLife = 3650 * 24 * time.Hour

// certificate is a key's own, for a client that logs in with it.
func certificate(key *rsa.PrivateKey, user string, now time.Time) (string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", fmt.Errorf("make a certificate: %w", err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: user}, NotBefore: now, NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", fmt.Errorf("make a certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// fingerprint is MD5 with colons for SSH keys, SHA-1 for certificates.
func fingerprint(kind, public string) (string, error) {
	if kind == "x509" {
		block, _ := pem.Decode([]byte(public))
		if block == nil {
			return "", invalid("Keypair data is invalid: failed to generate X509 fingerprint.")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", invalid("Keypair data is invalid: failed to generate X509 fingerprint.")
		}
		sum := sha1.Sum(block.Bytes)
		text := hex.EncodeToString(sum[:])
		parts := make([]string, 0, len(sum))
		for i := 0; i < len(text); i += 2 {
			parts = append(parts, text[i:i+2])
		}
		return strings.Join(parts, ":"), nil
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil || len(strings.TrimSpace(string(rest))) > 0 {
		return "", invalid("Keypair data is invalid: failed to generate fingerprint")
	}
	return ssh.FingerprintLegacyMD5(key), nil
}
