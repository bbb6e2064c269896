package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"xbmedge/camera"
	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
	"xbmedge/internal/tflite"
)

// versions is what `version --json` prints. A part that is not compiled in is empty.
type versions struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	TFLite   string `json:"tflite"`
	Camera   string `json:"camera"`  // gocv and OpenCV
	Bundles  string `json:"bundles"` // the form of bundles that it reads
}

func version() cli.Command {
	return cli.Command{
		Name: "version", Summary: "print the version and the parts compiled in",
		Setup: func(f *cli.Flags) cli.Func {
			asJSON := f.Bool("json", false, "print JSON")
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error { return printVersion(stdout, *asJSON) }
		},
	}
}

func currentVersions() versions {
	return versions{
		Version: cli.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		TFLite: tflite.Version(), Camera: camera.Version(), Bundles: bundle.Schema,
	}
}

func printVersion(stdout io.Writer, asJSON bool) error {
	v := currentVersions()
	if asJSON {
		return json.NewEncoder(stdout).Encode(v)
	}
	part := func(version string) string {
		if version == "" {
			return "not compiled in"
		}
		return version
	}
	_, err := fmt.Fprintf(stdout, "xbm-agent %s, %s, %s\nTensorFlow Lite: %s\nOpenCV: %s\nBundles: %s\n",
		v.Version, v.Go, v.Platform, part(v.TFLite), part(v.Camera), v.Bundles)
	return err
}
