package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"xbmedge/agent/internal/capture"
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
	Camera   string `json:"camera"`  // gocv and OpenCV, in xbm-capture
	Bundles  string `json:"bundles"` // the form of bundles that it reads
}

func version() cli.Command {
	return cli.Command{
		Name: "version", Summary: "print the version and the parts compiled in",
		Setup: func(f *cli.Flags) cli.Func {
			asJSON := f.Bool("json", false, "print JSON")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				return printVersion(ctx, stdout, *asJSON)
			}
		},
	}
}

func currentVersions(ctx context.Context) versions {
	return versions{
		Version: cli.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		TFLite: tflite.Version(), Camera: opencvVersion(ctx), Bundles: bundle.Schema,
	}
}

func printVersion(ctx context.Context, stdout io.Writer, asJSON bool) error {
	v := currentVersions(ctx)
	if asJSON {
		return json.NewEncoder(stdout).Encode(v)
	}
	part := func(version string) string {
		if version == "" {
			return "not there"
		}
		return version
	}
	_, err := fmt.Fprintf(stdout, "xbm-agent %s, %s, %s\nTensorFlow Lite: %s\nOpenCV: %s\nBundles: %s\n",
		v.Version, v.Go, v.Platform, part(v.TFLite), part(v.Camera), v.Bundles)
	return err
}

// opencvVersion is that of the program that has OpenCV, "" where there is none.
func opencvVersion(ctx context.Context) string {
	version, err := capture.OpenCV(ctx)
	if err != nil {
		return ""
	}
	return version
}
