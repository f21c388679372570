package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moult-ota/moult/artifact"
)

// plant makes the tree that a module finds itself in:
//
//	version  current_artifact_name  current_artifact_group  current_device_type
//	header/{artifact_name,artifact_group,payload_type,header-info,type-info,meta-data}
//	tmp/  files/
func (i *Installer) plant(h *artifact.Header) error {
	if err := os.RemoveAll(filepath.Dir(i.tree)); err != nil {
		return fmt.Errorf("make module tree: %w", err)
	}
	for _, dir := range []string{"header", "tmp", "streams"} {
		if err := os.MkdirAll(filepath.Join(i.tree, dir), 0o700); err != nil {
			return fmt.Errorf("make module tree: %w", err)
		}
	}
	for name, text := range i.facts(h) {
		if err := os.WriteFile(filepath.Join(i.tree, name), text, 0o600); err != nil {
			return fmt.Errorf("make module tree: %w", err)
		}
	}
	return nil
}

func (i *Installer) facts(h *artifact.Header) map[string][]byte {
	return map[string][]byte{
		"version":                []byte("3"),
		"current_artifact_name":  []byte(i.o.Provides["artifact_name"]),
		"current_artifact_group": []byte(i.o.Provides["artifact_group"]),
		"current_device_type":    []byte(i.o.DeviceType),
		"header/artifact_name":   []byte(h.Name),
		"header/artifact_group":  []byte(h.Group),
		"header/payload_type":    []byte(h.PayloadType),
		"header/header-info":     headerInfo(h),
		"header/type-info":       typeInfo(h),
		"header/meta-data":       h.MetaData,
	}
}

// headerInfo and typeInfo say what the artifact's JSON said, in its shape.
func headerInfo(h *artifact.Header) []byte {
	return document(map[string]any{
		"payloads":          []map[string]string{{"type": h.PayloadType}},
		"artifact_provides": map[string]string{"artifact_name": h.Name, "artifact_group": h.Group},
		"artifact_depends":  map[string][]string{"device_type": h.DeviceTypes},
	})
}

func typeInfo(h *artifact.Header) []byte {
	info := map[string]any{"type": h.PayloadType, "artifact_provides": h.Provides, "artifact_depends": h.Depends}
	if h.ClearsSet {
		info["clears_artifact_provides"] = h.Clears
	}
	return document(info)
}

func document(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("module: " + err.Error()) // texts, lists and maps of them
	}
	return text
}

// syncTree makes the tree survive a power cut. FIFOs are gone by then.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() && !d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
