package server

import (
	"testing"
	"time"
)

func TestNextStride(t *testing.T) {
	tests := []struct {
		name   string
		stride int64
		took   time.Duration
		want   int64
	}{
		{"fast grows", minStride, time.Millisecond, 2 * minStride},
		{"fast stays at the top", maxStride, time.Millisecond, maxStride},
		{"slow shrinks", 4 * minStride, 10 * time.Second, 2 * minStride},
		{"slow stays at the bottom", minStride, 50 * time.Second, minStride},
	}
	for _, tt := range tests {
		if got := nextStride(tt.stride, tt.took); got != tt.want {
			t.Errorf("%s: nextStride(%d, %s) = %d, want %d", tt.name, tt.stride, tt.took, got, tt.want)
		}
	}
}
