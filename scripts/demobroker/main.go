// Command demobroker is a small MQTT broker for the demo, where no other is installed. It keeps nothing on disk, asks
// for no password and listens on this machine only: not for use on a board.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
)

func main() { cli.Main("demobroker", cli.Single(command())) }

func command() cli.Command {
	return cli.Command{
		Name: "demobroker", Summary: "run a small MQTT broker for the demo",
		Setup: func(f *cli.Flags) cli.Func {
			listen := f.String("listen", "127.0.0.1:0", "`ADDRESS`; port 0 takes a free one")
			portFile := f.String("port-file", "", "write the port to this `FILE` once it listens")
			return func(ctx context.Context, _ []string, _, stderr io.Writer) error {
				return serve(ctx, *listen, *portFile, stderr)
			}
		},
	}
}

func serve(ctx context.Context, listen, portFile string, stderr io.Writer) error {
	socket, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := broker.New(&broker.Options{Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	err = errors.Join(server.AddHook(new(auth.AllowHook), nil), server.AddListener(listeners.NewNet("tcp", socket)))
	if err == nil {
		err = server.Serve()
	}
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	if portFile != "" {
		port := socket.Addr().(*net.TCPAddr).Port // of a TCP listener
		if err := atomicfile.WriteBytes(portFile, 0o644, fmt.Appendln(nil, port)); err != nil {
			return errors.Join(err, server.Close())
		}
	}
	<-ctx.Done()
	return server.Close()
}
