package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/gateway"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/mcuboot"
)

// boardType is what the microcontrollers are.
const boardType = "virtual-mcu"

// boards are microcontrollers behind a gateway: the real gateway, over virtual
// boards with MCUboot's decision, by SMP over UDP.
type boards struct {
	key     ed25519.PrivateKey // signs images; the boards know its public half
	all     map[string]*virtualmcu.Device
	doors   []net.PacketConn
	gateway *gateway.Gateway
	ran     chan error
}

// boardCount is how many there are.
const boardCount = 2

// openBoards makes boards that run version 1, and the gateway's configuration.
func (w *World) openBoards(dir, token string) (*boards, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	b := &boards{key: key, all: map[string]*virtualmcu.Device{}, ran: make(chan error, 1)}
	var children []map[string]any
	for n := range boardCount {
		name := fmt.Sprintf("mcu-%d", n+1)
		address, err := b.add(name)
		if err != nil {
			return nil, err
		}
		children = append(children, map[string]any{
			"id": name, "device_type": boardType, "driver": "smp-udp", "address": address,
			"image_keys": []string{filepath.Join(dir, "image.pub")}, "settle": "100ms", "away": "20s",
		})
	}
	if err := b.files(dir, w.builder); err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{
		"id": "bench", "servers": []string{w.site.url}, "token": token, "verify_keys": []string{filepath.Join(dir, "release.pub")},
		"state_dir": filepath.Join(dir, "state"), "poll": "300ms", "retry": "100ms", "retry_max": "1s", "children": children,
	})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "gateway.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	config, err := gateway.ReadConfig(path, true, nil)
	if err != nil {
		return nil, err
	}
	b.gateway, err = gateway.New(config, w.o.Log.With("gateway", "bench"))
	return b, err
}

// add makes one board, and returns where it answers.
func (b *boards) add(name string) (address string, err error) {
	key, err := mcuboot.NewPublicKey(b.key.Public())
	if err != nil {
		return "", err
	}
	image, err := b.firmware(1, virtualmcu.Habits{})
	if err != nil {
		return "", err
	}
	d, err := virtualmcu.New(virtualmcu.Options{Name: name, Keys: []mcuboot.PublicKey{key}, Image: image, Watchdog: 200 * time.Millisecond})
	if err != nil {
		return "", err
	}
	door, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	d.Power(true)
	go d.ServeUDP(door)
	b.all[name], b.doors = d, append(b.doors, door)
	return door.LocalAddr().String(), nil
}

func (b *boards) firmware(major uint8, h virtualmcu.Habits) ([]byte, error) {
	return virtualmcu.Firmware{Habits: h, Version: mcuboot.Version{Major: major}, Key: b.key, Size: 64 << 10}.Image()
}

// files writes the public keys that the gateway checks with.
func (b *boards) files(dir string, desk *Builder) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(b.key.Public())
	if err != nil {
		return err
	}
	image := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "image.pub"), image, 0o600),
		os.WriteFile(filepath.Join(dir, "release.pub"), desk.public, 0o600))
}

// close ends the boards, whose gateway has ended.
func (b *boards) close() error {
	for _, d := range b.doors {
		d.Close()
	}
	for _, d := range b.all {
		d.Power(false)
	}
	err := <-b.ran
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ReleaseMCU packs an MCUboot image into a signed artifact.
func (b *Builder) ReleaseMCU(name string, image []byte) ([]byte, error) {
	im, _, err := mcuboot.Parse(image)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = artifact.Write(&out, artifact.Spec{
		Name: name, DeviceTypes: []string{boardType}, PayloadType: mcupayload.Type,
		Files: []artifact.Source{{Name: "zephyr.signed.bin", Size: int64(len(image)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(image)), nil
		}}},
		Provides: mcupayload.Provides(mcupayload.Type, im), Clears: []string{mcupayload.Type + ".*"}, Signer: b.signer,
	})
	return out.Bytes(), err
}

// A boardChapter is one deployment to the boards, and how it must end.
type boardChapter struct {
	what   string
	major  uint8
	habits virtualmcu.Habits
	expect deployment.State
	runs   uint8
}

var boardStory = []boardChapter{
	{"for the microcontrollers behind a gateway", 2, virtualmcu.Habits{}, deployment.Done, 2},
	{"for the microcontrollers that crashes on boot", 3, virtualmcu.Habits{Crash: true}, deployment.RolledBack, 2},
}

// playBoards plays their chapters.
func (w *World) playBoards(ctx context.Context, s *Screen) error {
	for _, c := range boardStory {
		if err := w.playBoard(ctx, s, c); err != nil {
			return fmt.Errorf("a release %s: %w", c.what, err)
		}
	}
	return nil
}

func (w *World) playBoard(ctx context.Context, s *Screen, c boardChapter) error {
	ctx, cancel := context.WithTimeout(ctx, chapterWait)
	defer cancel()
	name := fmt.Sprintf("mcu-%d.0", c.major)
	s.Title(fmt.Sprintf("a release %s: all must be %s", c.what, c.expect))
	s.Say(time.Now(), "deploy %s, a release %s", name, c.what)
	image, err := w.boards.firmware(c.major, c.habits)
	if err != nil {
		return err
	}
	art, err := w.builder.ReleaseMCU(name, image)
	if err != nil {
		return err
	}
	if _, err := w.api().UploadArtifact(ctx, bytes.NewReader(art), client.UploadArtifactParams{Note: c.what}); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	d, err := w.api().CreateDeployment(ctx, client.NewDeployment{Name: name, Release: name, Target: client.Target{Type: boardType}}, client.CreateDeploymentParams{})
	if err != nil {
		return fmt.Errorf("create deployment: %w", err)
	}
	for d.Status == string(deployment.Active) {
		if err := w.pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		if d, err = w.api().ShowDeployment(ctx, d.ID); err != nil {
			return err
		}
	}
	if d.Counts[string(c.expect)] != boardCount {
		return fmt.Errorf("%w: %v, want %d %s", ErrStory, d.Counts, boardCount, c.expect)
	}
	s.Say(time.Now(), "%s: %d %s", name, boardCount, c.expect)
	return w.lookAtBoards(c.runs)
}

// lookAtBoards fails when a board runs something else, whatever was reported.
func (w *World) lookAtBoards(major uint8) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(w.boards.all)) {
		if v, answers := w.boards.all[name].Running(); v.Major != major || !answers {
			errs = append(errs, fmt.Errorf("%w: %s runs %s (answers %v), want %d.0.0", ErrStory, name, v, answers, major))
		}
	}
	return errors.Join(errs...)
}

// boardsEnrolled waits until the server knows the boards and their type.
func (w *World) boardsEnrolled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enrolWait)
	defer cancel()
	for {
		all, err := w.devices(ctx)
		if err != nil {
			return err
		}
		n := 0
		for _, d := range all {
			if d.Type == boardType && d.Status == "accepted" {
				n++
			}
		}
		if n == boardCount {
			return nil
		}
		if err := w.pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d microcontrollers enrolled: %w", n, boardCount, err)
		}
	}
}
