package main

import (
	"bufio"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/store/sqlite"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A world is a data directory with a fleet, and a server on it.
type world struct {
	dir     string
	devices int
	secret  []byte // of the device door
	report  int64  // what the server keeps of the report that all devices send
	op      *client.Client
	stop    func()
}

// report is what every device says: five provides, as a real one does.
var report = fleet.Report{Type: "rpi", Provides: map[string]string{
	"artifact_name": "r0", "rootfs-image.version": "r0", "rootfs-image.checksum": strings.Repeat("ab", 32), "data-partition.version": "7",
}}

// newWorld makes a fleet of n devices that are accepted and reported before.
func newWorld(ctx context.Context, n int) *world {
	dir, err := os.MkdirTemp("", "serverbench-")
	check(err)
	w := &world{dir: dir, devices: n}
	w.start(ctx)
	w.learn(ctx)
	w.stop()
	began := time.Now()
	w.seed(n)
	fmt.Fprintf(os.Stderr, "seeded %d devices in %.1f s\n", n, time.Since(began).Seconds())
	w.start(ctx)
	w.settle()
	return w
}

func (w *world) close() {
	w.stop()
	os.RemoveAll(w.dir)
}

// start runs the server as `moult server` does.
func (w *world) start(ctx context.Context) {
	o := server.Defaults()
	o.Data, o.Listen, o.LogLevel = w.dir, "127.0.0.1:0", "warn"
	ctx, cancel := context.WithCancel(ctx)
	said, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Run(ctx, o, out, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "server ended:", err) // it could not write last contacts in time
		}
	}()
	w.stop = func() { cancel(); <-done }
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		word := lines.Text()[strings.LastIndex(lines.Text(), " ")+1:]
		if strings.HasPrefix(lines.Text(), "moult server") && w.op != nil {
			w.op.Server = word
			break
		} else if strings.HasPrefix(lines.Text(), "moult server") {
			w.op = &client.Client{Server: word, HTTP: &http.Client{}}
		} else if strings.HasPrefix(lines.Text(), "operator token") {
			w.op.Token = word
			break
		}
	}
	go io.Copy(io.Discard, said)
}

func (w *world) address() string { return strings.TrimPrefix(w.op.Server, "http://") }

// learn lets one device in and has it report, to see what the server keeps.
func (w *world) learn(ctx context.Context) {
	w.sql(insertDevices(0, 1))
	w.readSecret(ctx)
	l := dial(w.address())
	defer l.close()
	_, err := l.conns[0].Write(w.checkIn(0))
	check(err)
	check(answer(bufio.NewReader(l.conns[0]), "204"))
	db, err := sqlite.Open(ctx, filepath.Join(w.dir, "moult.db"))
	check(err)
	defer db.Close()
	d, err := db.Read(ctx).Device(fleetID(0))
	check(err)
	w.report = d.Report
}

func (w *world) readSecret(ctx context.Context) {
	db, err := sqlite.Open(ctx, filepath.Join(w.dir, "moult.db"))
	check(err)
	defer db.Close()
	secret, err := db.Read(ctx).Secret("key mender")
	check(err)
	w.secret, err = hkdf.Key(sha256.New, secret, nil, "moult device token v1", sha256.Size)
	check(err)
}

// settle has every device of the sample check in once, so that the server
// knows of each that there is nothing for it.
func (w *world) settle() {
	l := dial(w.address())
	defer l.close()
	l.pass(w.requests(), "204")
}

// sql runs statements on the database file.
func (w *world) sql(statements ...string) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "moult.db")+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)")
	check(err)
	defer db.Close()
	for _, s := range statements {
		_, err := db.Exec(s)
		check(err)
	}
}

func (w *world) seed(n int) {
	w.sql(insertDevices(w.report, n))
}

// insertDevices replaces the fleet by n devices, in one statement.
func insertDevices(report int64, n int) string {
	return fmt.Sprintf(`BEGIN;
	DELETE FROM assignment; DELETE FROM transition; DELETE FROM device; DELETE FROM device_count;
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i+1 < %d)
	INSERT INTO device (id, identity, identity_hash, status, type, release, parent, provides, report, member, version, created_at, seen_at)
	SELECT printf('%%08x-%%04x-7000-8000-%%012x', i>>16, i&65535, (i*1099511627689)&281474976710655),
		printf('{"mac":"%%012x"}', i), printf('%%064x', i), 'accepted', 'rpi', 'r0', '',
		'{"artifact_name":"r0","rootfs-image.version":"r0","data-partition.version":"7"}', %d, 0, 0, 1767225600000000, 0 FROM n;
	INSERT INTO device_count (status, type, n) VALUES ('accepted', 'rpi', %d);
	COMMIT`, n, report, n)
}

// deviceID is the id that insertDevices gives the i-th device.
func deviceID(i int) string {
	return fmt.Sprintf("%08x-%04x-7000-8000-%012x", i>>16, i&65535, (i*1099511627689)&281474976710655)
}

// token is a device token as the door issues it.
func (w *world) token(i int) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil,
		`{"sub":%q,"exp":%d,"iat":%d,"jti":"x","iss":"Moult","mender.device":true,"mender.tenant":"","mender.plan":"enterprise","mender.trial":false}`,
		deviceID(i), time.Now().Add(24*time.Hour).Unix(), time.Now().Unix()))
	mac := hmac.New(sha256.New, w.secret)
	io.WriteString(mac, text)
	return text + "." + encode(mac.Sum(nil))
}

// checkIn is the i-th device asking for work, as bytes.
func (w *world) checkIn(i int) []byte {
	body := menderapi.NewNextRequest(report).Append(nil)
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		menderapi.NextPath, w.token(i), len(body), body)
}

// sample bounds the requests that are built before a turn.
const sample = 100_000

// requests are check-ins of devices from all over the fleet. They are as many
// for a small fleet as for a large one, as reading them costs the caches, too.
func (w *world) requests() [][]byte {
	all := make([][]byte, sample)
	for i := range all {
		all[i] = w.checkIn(i * max(1, w.devices/sample) % w.devices)
	}
	return all
}

// spread takes them in an order in which neighbours in time are no neighbours
// in the database.
func (w *world) spread() func(conn, n int) []byte {
	requests := w.requests()
	return func(conn, n int) []byte { return requests[(conn*7919+n*104729)%len(requests)] }
}
