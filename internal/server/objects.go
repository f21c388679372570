package server

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/mqtt"
	"github.com/moult-ota/moult/internal/packager"
	"github.com/moult-ota/moult/internal/wire/object"
)

// objects are the packager's, as the door for MQTT asks for them. They lie
// beside the artifacts, as ciphertext.
type objects struct{ packager *packager.Packager }

func openObjects(ctx context.Context, data string) (objects, error) {
	dir := filepath.Join(data, "objects")
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		return objects{}, err
	}
	key, err := packager.LoadKey(filepath.Join(data, "object.key"), rand.Reader)
	if err != nil {
		return objects{}, err
	}
	p, err := packager.Open(ctx, blobs, packager.Folder(filepath.Join(dir, "notes")), key, rand.Reader)
	return objects{p}, err
}

// A twofold store forgets an artifact's object with the artifact.
type twofold struct {
	blob.Store
	objects objects
}

// Delete implements blob.Store.
func (t twofold) Delete(ctx context.Context, sum string) error {
	return errors.Join(t.objects.packager.Remove(ctx, sum), t.Store.Delete(ctx, sum))
}

// Object implements mqtt.Objects.
func (o objects) Object(sum string) (object.Spec, object.Key, error) {
	made, err := o.packager.Object(sum)
	if errors.Is(err, packager.ErrNotFound) {
		err = mqtt.ErrNotMade
	}
	return made.Spec, made.Key, err
}

// Make implements mqtt.Objects.
func (o objects) Make(ctx context.Context, sum string, c fleet.Content) error {
	_, err := o.packager.Make(ctx, sum, c.Artifact().Size, c)
	return err
}

// Open implements mqtt.Objects.
func (o objects) Open(ctx context.Context, oid object.OID) (mqtt.Pieces, error) {
	r, err := o.packager.Open(ctx, oid)
	if err != nil {
		return nil, err
	}
	return pieces{r}, nil
}

type pieces struct{ *packager.Reader }

func (p pieces) Spec() object.Spec { return p.Reader.Spec }
