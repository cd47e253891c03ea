package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/kamado/kamado/game"
)

// appleSigner makes Apple's form of a client secret: a JWT with ES256 that says who we are.
// https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
type appleSigner struct {
	signer         jose.Signer
	team, clientID string
	audience       string
}

// appleLife is how long a client secret is valid; Apple takes up to six months.
const appleLife = 5 * time.Minute

func newAppleSigner(file []byte, cfg game.OIDCProvider) (*appleSigner, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("client_secret_file: it holds no PEM, as Apple's .p8 files do")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("client_secret_file: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("client_secret_file: it holds no P-256 key")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: cfg.KeyID}}, nil)
	if err != nil {
		return nil, err
	}
	return &appleSigner{signer: signer, team: cfg.TeamID, clientID: cfg.ClientID, audience: cfg.Resolved().Issuer}, nil
}

func (a *appleSigner) sign(now time.Time) (string, error) {
	return jwt.Signed(a.signer).Claims(jwt.Claims{
		Issuer: a.team, Subject: a.clientID, Audience: jwt.Audience{a.audience},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(appleLife)),
	}).Serialize()
}
