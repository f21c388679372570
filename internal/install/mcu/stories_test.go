package mcu_test

import (
	"bytes"
	"crypto/ed25519"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/install/mcu"
	"github.com/moult-ota/moult/mcuboot"
)

// open returns the story's world, with a cut of the gateway and of the child.
func (s story) open(gateway, child int, seed uint64) *world {
	w := newWorld(gateway, seed, pack(new2, nil))
	w.child.Cut = child
	if s.world != nil {
		s.world(w)
	}
	return w
}

func habit(h childtest.Habit) func(*world) {
	return func(w *world) { w.child.Habits[new2.Version] = h }
}

func mute(h childtest.Habit) func(*world) {
	return func(w *world) {
		w.child.Mute = true
		w.child.Habits[new2.Version] = h
	}
}

func canceledAt(s deployment.State) func(*world) {
	return func(w *world) { w.server.CancelAt = s }
}

func artifactOf(image child.Image, change func(*artifact.Spec)) func(*world) {
	return func(w *world) { w.server.Artifact = pack(image, change) }
}

// downgrade: the child runs something newer, and its boot loader minds.
func downgrade(w *world) {
	newest := childtest.NewImage("3.0.0", size, nil)
	w.old, w.child = newest, childtest.NewFake(newest, 1)
	w.change = func(i *mcu.Installer) { i.Newer = true }
}

// unsigned takes key hash and signature away.
func unsigned(image child.Image) child.Image {
	im, _, err := mcuboot.Parse(image.Bytes)
	if err != nil {
		panic(err)
	}
	hash := im.Hash()
	at := bytes.LastIndex(image.Bytes, hash) + len(hash)
	image.Bytes = bytes.Clone(image.Bytes[:at]) // without key hash and signature
	area := at - len(hash) - 8
	image.Bytes[area+2], image.Bytes[area+3] = byte(8+len(hash)), 0
	return image
}

func damage(image child.Image) child.Image {
	image.Bytes = bytes.Clone(image.Bytes)
	image.Bytes[1000] ^= 1
	return image
}

func garbage() child.Image {
	return child.Image{Bytes: bytes.Repeat([]byte("x"), 5000), Version: new2.Version}
}

func padded(image child.Image) child.Image {
	image.Bytes = append(bytes.Clone(image.Bytes), bytes.Repeat([]byte{0xff}, 64)...)
	return image
}

// foreign is new2, signed with a key that the child does not know.
func foreign() child.Image {
	return childtest.NewImage("2.0.0", size, func(s *mcuboot.Spec) {
		s.Key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	})
}
