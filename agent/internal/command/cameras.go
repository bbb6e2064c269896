package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"xbmedge/agent/internal/config"
	"xbmedge/camera"
	"xbmedge/internal/cli"
	"xbmedge/internal/redact"
)

func camerasGroup() cli.Command {
	return cli.Command{
		Name: "cameras", Summary: "list cameras, and try one",
		Commands: []cli.Command{camerasList(), camerasTest()},
	}
}

func camerasList() cli.Command {
	return cli.Command{
		Name: "list", Summary: "list the cameras that are configured, and those that are there",
		Long: `Lists the cameras of the configuration, where there is one, and says of each whether
it is there: a device, a host that answers, a folder. Then it lists the cameras of
this board: V4L2 devices with their formats and sizes, and those on ribbon cables.
It opens no stream: ` + "`xbm-agent cameras test`" + ` does.`,
		Examples: "xbm-agent cameras list\nxbm-agent cameras list --config agent.yaml --json",
		Setup: func(f *cli.Flags) cli.Func {
			source := sourceFlags(f)
			asJSON := f.Bool("json", false, "print JSON")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				found, err := findCameras(ctx, source)
				if err != nil {
					return err
				}
				if *asJSON {
					return json.NewEncoder(stdout).Encode(found)
				}
				return found.write(stdout)
			}
		},
	}
}

// foundCameras is what `cameras list --json` prints.
type foundCameras struct {
	Configured []configuredCamera  `json:"configured"`
	Devices    []camera.DeviceInfo `json:"devices"`
	Libcamera  []string            `json:"libcamera"`
	Remarks    []string            `json:"remarks"`
}

type configuredCamera struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Address string `json:"address"` // without its password
	State   string `json:"state"`   // there, off, or what is wrong
}

func findCameras(ctx context.Context, source func() (string, []string)) (*foundCameras, error) {
	found := &foundCameras{Configured: []configuredCamera{}, Devices: []camera.DeviceInfo{}, Libcamera: []string{}, Remarks: []string{}}
	if path, set := source(); path != "" || len(set) > 0 {
		cfg, err := config.Read(path, set...) // without passwords: nothing is opened
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(cfg.Cameras)) {
			cam := cfg.Cameras[name]
			found.Configured = append(found.Configured, configuredCamera{
				Name: name, Kind: cam.Kind, Address: redact.URL(cam.Address), State: stateOf(ctx, cam),
			})
		}
	}
	remark := func(err error) {
		if err != nil {
			found.Remarks = append(found.Remarks, strings.Split(err.Error(), "\n")...)
		}
	}
	devices, err := camera.Devices()
	remark(err)
	found.Devices = append(found.Devices, devices...)
	ribbons, err := camera.LibcameraList(ctx)
	remark(err)
	found.Libcamera = append(found.Libcamera, ribbons...)
	return found, nil
}

// stateOf says how a configured camera is, as far as can be seen without opening it.
func stateOf(ctx context.Context, cam config.Camera) string {
	if !cam.Enabled {
		return "off"
	}
	source := cam.Source()
	if err := errors.Join(checkCamera(source), camera.Reach(ctx, source)); err != nil {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "there"
}

func (f *foundCameras) write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(f.Configured) > 0 {
		fmt.Fprintln(table, "NAME\tKIND\tADDRESS\tSTATE")
	}
	for _, c := range f.Configured {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, c.Kind, c.Address, c.State)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, d := range f.Devices {
		fmt.Fprintf(w, "device %s: %s\n", d.Path, d.Name)
		for _, format := range d.Formats {
			fmt.Fprintf(w, "  %s  %s\n", format.FourCC, strings.Join(format.Sizes, " "))
		}
	}
	if len(f.Devices) == 0 {
		fmt.Fprintln(w, "no V4L2 device (USB camera) can be opened")
	}
	for _, line := range f.Libcamera {
		fmt.Fprintf(w, "libcamera %s\n", line)
	}
	for _, line := range f.Remarks {
		fmt.Fprintf(w, "not looked at: %s\n", line)
	}
	return nil
}
