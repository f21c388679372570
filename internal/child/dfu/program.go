package dfu

import "context"

func (c *Child) program(ctx context.Context, d Device, file []byte, told func(int64)) error {
	return nil
}
