package control_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/control"
)

func TestTokens(t *testing.T) {
	f := newFixture(t)
	token, secret, err := f.CreateToken(ctx, "ci", []string{control.ScopeRead}, time.Hour)
	f.must(err)
	if !strings.HasPrefix(secret, "moult_pat_") || len(secret) < 50 {
		t.Errorf("secret %q does not look like a token", secret)
	}
	got, err := f.CheckToken(ctx, secret)
	if err != nil || got.ID != token.ID || len(got.Scopes) != 1 {
		t.Errorf("CheckToken = %+v, %v, want %+v", got, err, token)
	}
	if _, err := f.CheckToken(ctx, secret+"x"); !errors.Is(err, control.ErrUnauthorized) {
		t.Errorf("CheckToken of another secret = %v, want ErrUnauthorized", err)
	}
	f.clock.pass(time.Hour)
	if _, err := f.CheckToken(ctx, secret); !errors.Is(err, control.ErrUnauthorized) {
		t.Errorf("CheckToken after an hour = %v, want ErrUnauthorized", err)
	}
	f.must(f.DeleteToken(ctx, token.ID))
	if err := f.DeleteToken(ctx, token.ID); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("DeleteToken again = %v, want ErrNotFound", err)
	}
	for _, tt := range []struct {
		name   string
		scopes []string
		ttl    time.Duration
	}{{"", []string{"read"}, 0}, {"x", nil, 0}, {"x", []string{"root"}, 0}, {"x", []string{"read"}, -1}} {
		if _, _, err := f.CreateToken(ctx, tt.name, tt.scopes, tt.ttl); !errors.Is(err, control.ErrInvalid) {
			t.Errorf("CreateToken(%+v) = %v, want ErrInvalid", tt, err)
		}
	}
}

func TestFirstStartIsOnce(t *testing.T) {
	f := newFixture(t)
	first, err := f.FirstStart(ctx)
	f.must(err)
	if got, err := f.CheckToken(ctx, first); err != nil || got.Scopes[0] != control.ScopeAdmin {
		t.Errorf("CheckToken = %+v, %v, want an admin's", got, err)
	}
	if _, err := f.FirstStart(ctx); !errors.Is(err, control.ErrAlready) {
		t.Errorf("FirstStart again = %v, want ErrAlready", err)
	}
	second, err := f.ResetOperator(ctx)
	f.must(err)
	if _, err := f.CheckToken(ctx, second); err != nil {
		t.Errorf("CheckToken after a reset = %v", err)
	}
	if _, err := f.CheckToken(ctx, first); !errors.Is(err, control.ErrUnauthorized) {
		t.Errorf("CheckToken of the lost one = %v, want ErrUnauthorized", err)
	}
}

func TestSecretIsKept(t *testing.T) {
	f := newFixture(t)
	one, err := f.Secret(ctx, "links")
	f.must(err)
	again, err := f.Secret(ctx, "links")
	f.must(err)
	other, err := f.Secret(ctx, "sessions")
	f.must(err)
	if len(one) != 32 || !bytes.Equal(one, again) || bytes.Equal(one, other) {
		t.Errorf("Secret = %x, again %x, another %x", one, again, other)
	}
}

func TestIdempotent(t *testing.T) {
	f := newFixture(t)
	var calls atomic.Int32
	do := func(status int) func() (int, []byte, error) {
		return func() (int, []byte, error) { calls.Add(1); return status, []byte("body"), nil }
	}
	for i := range 2 {
		status, body, replayed, err := f.Idempotent(ctx, "k1", []byte{1}, do(201))
		if status != 201 || string(body) != "body" || replayed != (i > 0) || err != nil {
			t.Errorf("call %d = %d, %s, %v, %v", i, status, body, replayed, err)
		}
	}
	if _, _, _, err := f.Idempotent(ctx, "k1", []byte{2}, do(201)); !errors.Is(err, control.ErrIdempotency) {
		t.Errorf("another body = %v, want ErrIdempotency", err)
	}
	f.clock.pass(25 * time.Hour)
	if _, _, replayed, err := f.Idempotent(ctx, "k1", []byte{2}, do(201)); replayed || err != nil {
		t.Errorf("a day later = %v, %v, want it done", replayed, err)
	}
	for range 2 {
		if _, _, replayed, _ := f.Idempotent(ctx, "k2", nil, do(503)); replayed {
			t.Error("a failure of the server was kept")
		}
	}
	if n := calls.Load(); n != 4 {
		t.Errorf("done %d times, want 4", n)
	}
	if _, _, _, err := f.Idempotent(ctx, "", nil, do(200)); !errors.Is(err, control.ErrInvalid) {
		t.Errorf("no key = %v, want ErrInvalid", err)
	}
}

func TestIdempotentAtOnce(t *testing.T) {
	f := newFixture(t)
	running, finish := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, _, err := f.Idempotent(ctx, "k", nil, func() (int, []byte, error) {
			close(running)
			<-finish
			return 200, nil, nil
		})
		if err != nil {
			t.Errorf("first = %v", err)
		}
	})
	<-running
	_, _, _, err := f.Idempotent(ctx, "k", nil, func() (int, []byte, error) { t.Error("done twice at once"); return 200, nil, nil })
	if !errors.Is(err, control.ErrConflict) {
		t.Errorf("second = %v, want ErrConflict", err)
	}
	close(finish)
	wg.Wait()
	func() {
		defer func() { _ = recover() }()
		f.Idempotent(ctx, "p", nil, func() (int, []byte, error) { panic("on purpose") })
	}()
	if _, _, _, err := f.Idempotent(ctx, "p", nil, func() (int, []byte, error) { return 200, nil, nil }); err != nil {
		t.Errorf("after a panic = %v, want it done", err)
	}
}
