package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/store"
)

type (
	// An EnrolmentToken lets devices in without an operator's hand.
	EnrolmentToken = store.EnrolmentToken
	// A Token lets an operator, or a program, use the API.
	Token = store.Token
)

// The scopes of tokens. Admin includes all others.
const (
	ScopeRead    = "read"    // look
	ScopeDeploy  = "deploy"  // create, abort and retry deployments
	ScopeRelease = "release" // upload and delete artifacts
	ScopeDevice  = "device"  // accept, reject, preauthorize, decommission
	ScopeAdmin   = "admin"   // tokens too
)

// Scopes lists all scopes.
var Scopes = []string{ScopeRead, ScopeDeploy, ScopeRelease, ScopeDevice, ScopeAdmin}

// What secrets begin with, so that people and scanners know them.
const (
	tokenPrefix     = "moult_pat_"
	enrolmentPrefix = "moult_enr_"
)

// newSecret returns 32 random bytes as text.
func newSecret(prefix string) string {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(raw)
}

// hashSecret is what is kept of a secret. It needs no salt and no work factor,
// as nobody guesses 32 random bytes.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

func expiry(now time.Time, ttl time.Duration) time.Time {
	if ttl == 0 {
		return time.Time{}
	}
	return now.Add(ttl)
}

func checkName(name string, ttl time.Duration) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w name: %d bytes, want 1 to %d", ErrInvalid, len(name), maxName)
	}
	if ttl < 0 {
		return fmt.Errorf("%w: it would have expired %s ago", ErrInvalid, -ttl)
	}
	return nil
}

// CreateEnrolmentToken makes a token that lets in as many new devices as it
// has uses (0: any number) until ttl is over (0: never). Its secret is
// returned this once.
func (c *Control) CreateEnrolmentToken(ctx context.Context, name string, uses int, ttl time.Duration) (t EnrolmentToken, secret string, err error) {
	if err := checkName(name, ttl); err != nil {
		return t, "", fmt.Errorf("create enrolment token: %w", err)
	}
	if uses < 0 {
		return t, "", fmt.Errorf("create enrolment token: %w: %d uses", ErrInvalid, uses)
	}
	secret = newSecret(enrolmentPrefix)
	err = c.update(ctx, func(ch *change) error {
		if all, err := ch.EnrolmentTokens(); err != nil || len(all) >= store.MaxTokens {
			return errors.Join(err, tooMany(len(all)))
		}
		t = EnrolmentToken{ID: uuid.Must(uuid.NewV7()).String(), Name: name, Uses: uses, CreatedAt: ch.at, ExpiresAt: expiry(ch.at, ttl)}
		return ch.InsertEnrolmentToken(t, hashSecret(secret))
	})
	return t, secret, wrap("create enrolment token", err)
}

func tooMany(n int) error {
	if n < store.MaxTokens {
		return nil
	}
	return fmt.Errorf("%w: there are %d tokens; delete some", ErrConflict, n)
}

// EnrolmentTokens lists all enrolment tokens, oldest first.
func (c *Control) EnrolmentTokens(ctx context.Context) ([]EnrolmentToken, error) {
	all, err := c.DB.Read(ctx).EnrolmentTokens()
	return all, wrap("list enrolment tokens", err)
}

// DeleteEnrolmentToken deletes one; devices that it let in stay.
func (c *Control) DeleteEnrolmentToken(ctx context.Context, id string) error {
	return c.deleteOne(ctx, "enrolment token "+id, func(tx *store.Tx) (int, error) { return tx.DeleteEnrolmentToken(id) })
}

func (c *Control) deleteOne(ctx context.Context, thing string, del func(*store.Tx) (int, error)) error {
	return c.DB.Update(ctx, func(tx *store.Tx) error {
		n, err := del(tx)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return found(thing, err)
	})
}

// CreateToken makes a token for the API. Its secret is returned this once.
func (c *Control) CreateToken(ctx context.Context, name string, scopes []string, ttl time.Duration) (t Token, secret string, err error) {
	if err := checkName(name, ttl); err != nil {
		return t, "", fmt.Errorf("create token: %w", err)
	}
	if len(scopes) == 0 || len(scopes) > len(Scopes) {
		return t, "", fmt.Errorf("create token: %w: %d scopes, want some of %v", ErrInvalid, len(scopes), Scopes)
	}
	for _, s := range scopes {
		if !slices.Contains(Scopes, s) {
			return t, "", fmt.Errorf("create token: %w scope %.80q, want one of %v", ErrInvalid, s, Scopes)
		}
	}
	err = c.update(ctx, func(ch *change) (err error) {
		t, secret, err = ch.createToken(name, scopes, ttl)
		return err
	})
	return t, secret, wrap("create token", err)
}

func (ch *change) createToken(name string, scopes []string, ttl time.Duration) (t Token, secret string, err error) {
	if all, err := ch.Tokens(); err != nil || len(all) >= store.MaxTokens {
		return t, "", errors.Join(err, tooMany(len(all)))
	}
	secret = newSecret(tokenPrefix)
	t = Token{ID: uuid.Must(uuid.NewV7()).String(), Name: name, Scopes: scopes, CreatedAt: ch.at, ExpiresAt: expiry(ch.at, ttl)}
	return t, secret, ch.InsertToken(t, hashSecret(secret))
}

// Tokens lists all tokens, oldest first.
func (c *Control) Tokens(ctx context.Context) ([]Token, error) {
	all, err := c.DB.Read(ctx).Tokens()
	return all, wrap("list tokens", err)
}

// DeleteToken deletes one; it is of no use from then on.
func (c *Control) DeleteToken(ctx context.Context, id string) error {
	return c.deleteOne(ctx, "token "+id, func(tx *store.Tx) (int, error) { return tx.DeleteToken(id) })
}

// CheckToken returns the token with that secret, or ErrUnauthorized.
func (c *Control) CheckToken(ctx context.Context, secret string) (Token, error) {
	t, err := c.DB.Read(ctx).Token(hashSecret(secret))
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && expired(t.ExpiresAt, c.Now()):
		return Token{}, ErrUnauthorized
	case err != nil:
		return Token{}, wrap("look up token", err)
	}
	return t, nil
}

const (
	operatorName = "operator" // the token of the first start
	firstStart   = "first start"
)

// FirstStart returns the secret of a token for everything, the first time
// that it is called on a store; afterwards ErrAlready.
func (c *Control) FirstStart(ctx context.Context) (secret string, err error) {
	err = c.update(ctx, func(ch *change) error {
		if _, err := ch.Secret(firstStart); !errors.Is(err, store.ErrNotFound) {
			return errors.Join(err, ErrAlready)
		}
		secret, err = ch.operator()
		return err
	})
	return secret, wrap("make first token", err)
}

// ResetOperator replaces the token of FirstStart when its secret was lost.
func (c *Control) ResetOperator(ctx context.Context) (secret string, err error) {
	err = c.update(ctx, func(ch *change) error {
		old, err := ch.Secret(firstStart)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err := ch.DeleteToken(string(old)); err != nil {
			return err
		}
		secret, err = ch.operator()
		return err
	})
	return secret, wrap("reset operator", err)
}

func (ch *change) operator() (secret string, err error) {
	t, secret, err := ch.createToken(operatorName, []string{ScopeAdmin}, 0)
	if err != nil {
		return "", err
	}
	return secret, ch.PutSecret(firstStart, []byte(t.ID))
}

// Secret returns 32 random bytes that were made once and are kept under name.
func (c *Control) Secret(ctx context.Context, name string) ([]byte, error) {
	value, err := c.DB.Read(ctx).Secret("key " + name)
	if !errors.Is(err, store.ErrNotFound) {
		return value, wrap("read secret "+name, err)
	}
	err = c.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if value, err = tx.Secret("key " + name); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		value = make([]byte, 32)
		rand.Read(value) // never fails
		return tx.PutSecret("key "+name, value)
	})
	return value, wrap("make secret "+name, err)
}
