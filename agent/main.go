// Command xbm-agent runs on a camera board: it recognises enrolled things in what its cameras see and tells an MQTT
// broker. `xbm-agent help` lists its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"xbmedge/agent/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "xbm-agent:", err)
	if errors.Is(err, command.ErrUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}
