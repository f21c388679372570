package artifactcmd

import (
	"fmt"

	"github.com/moult-ota/moult/artifact"
)

func readSigner(path string) (artifact.Signer, error) {
	text, err := readFile(path, maxKey)
	if err != nil {
		return nil, err
	}
	s, err := artifact.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// readVerifiers reads all keys, or fails: a key that cannot be read must not
// turn verification off.
func readVerifiers(paths []string) (keys []artifact.Verifier, err error) {
	for _, path := range paths {
		text, err := readFile(path, maxKey)
		if err != nil {
			return nil, err
		}
		key, err := artifact.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
