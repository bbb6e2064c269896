package command

import (
	"bytes"
	"encoding/json"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func call(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out, stderr bytes.Buffer
	err = New().Run(t.Context(), args, &out, &stderr)
	return out.String(), err
}

func TestCamerasTest(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "now.jpg")
	out, err := call(t, "cameras", "test", "test:size=320x200,fps=50", "--seconds", "0.5", "--save", picture, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var got trial
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Width != 320 || got.Height != 200 || got.Frames < 5 || got.FPS < 5 || got.FPS > 60 || got.OpenMS <= 0 || got.Error != "" {
		t.Errorf("%+v", got)
	}
	file, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if m, err := jpeg.Decode(file); err != nil || m.Bounds().Dx() != 320 || m.Bounds().Dy() != 200 {
		t.Errorf("the saved picture: %v", err)
	}
}

func TestCamerasTestFails(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"test:fps=50,frames=3"}, "after 3 frames: the test pattern has given its frames"},
		{[]string{"test:refuse=0s"}, "told to refuse"},
		{[]string{"test:colour=red"}, "no setting of the test pattern"},
		{[]string{"webcam:0"}, `"webcam" is not one of`},
		{[]string{"http://me:s3cret@127.0.0.1:1/x"}, "no answer"},
		{[]string{"device:/dev/video97"}, "/dev/video97 is not there"},
		{[]string{"porch"}, "takes --config"},
		{[]string{"test:", "--seconds", "0"}, "--seconds is 0"},
		{[]string{"porch", "--set", "model.path=m", "--set", "gallery.path=g", "--set", "cameras.attic.kind=test"}, `no camera "porch" is configured`},
		{nil, "want one camera"},
	} {
		out, err := call(t, append([]string{"cameras", "test"}, tt.args...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error()+out, "s3cret") {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
		}
	}
}

func TestCamerasTestByName(t *testing.T) {
	out, err := call(t, "cameras", "test", "attic", "--seconds", "0.2", "--set", "model.path=m", "--set", "gallery.path=g",
		"--set", "cameras.attic.kind=test", "--set", "cameras.attic.address=size=64x48", "--set", "cameras.attic.rotate=90")
	if err != nil || !strings.Contains(out, "of 48×64") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCamerasList(t *testing.T) {
	args := []string{"cameras", "list", "--set", "model.path=m", "--set", "gallery.path=g", "--set", "cameras.attic.kind=test"}
	for key, value := range map[string]string{
		"porch.kind": "http", "porch.address": "http://me:s3cret@127.0.0.1:1/x", "old.kind": "dir", "old.address": t.TempDir(), "old.enabled": "false",
	} {
		args = append(args, "--set", "cameras."+key+"="+value)
	}
	out, err := call(t, append(args, "--json")...)
	if err != nil {
		t.Fatal(err)
	}
	var got foundCameras
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Configured) != 3 {
		t.Fatalf("%v in %s", err, out)
	}
	if a, o, p := got.Configured[0], got.Configured[1], got.Configured[2]; a.State != "there" || o.State != "off" ||
		p.State == "there" || p.Address != "http://me:xxxxx@127.0.0.1:1/x" || strings.Contains(out, "s3cret") {
		t.Errorf("%s", out)
	}
	if out, err = call(t, args...); err != nil || !strings.Contains(out, "attic  test") {
		t.Errorf("%v\n%s", err, out)
	}
}
