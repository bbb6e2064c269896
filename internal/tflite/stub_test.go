//go:build !cgo || !tflite

package tflite

import (
	"errors"
	"testing"
)

func TestStubSaysSo(t *testing.T) {
	if _, err := Open(nil, Options{}); !errors.Is(err, ErrUnavailable) || !errors.Is(Available(), ErrUnavailable) {
		t.Errorf("Open: %v, Available: %v, want ErrUnavailable", err, Available())
	}
}
