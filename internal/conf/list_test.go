package conf_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/conf"
)

func TestList(t *testing.T) {
	type camera struct {
		Rate float64       `yaml:"rate"`
		Wait time.Duration `yaml:"wait"`
	}
	cfg := &struct {
		Name    string `yaml:"name"`
		Hidden  int    `yaml:"-"`
		Broker  struct{ URL string }
		Cameras map[string]camera `yaml:"cameras"`
		Tags    []string          `yaml:"tags"`
	}{Name: "a b", Cameras: map[string]camera{"two": {Wait: time.Second}, "one": {Rate: 2.5}}, Tags: []string{"x", "y"}}
	cfg.Broker.URL = "tcp://h"
	want := []conf.Value{
		{"name", "a b"},
		{"broker.url", "tcp://h"},
		{"cameras.one.rate", "2.5"},
		{"cameras.one.wait", "0s"},
		{"cameras.two.rate", "0"},
		{"cameras.two.wait", "1s"},
		{"tags", "[x y]"},
	}
	if diff := cmp.Diff(want, conf.List(cfg)); diff != "" {
		t.Error(diff)
	}
}
