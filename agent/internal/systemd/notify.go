// Package systemd is the agent's side of the service manager: notifications, the watchdog, the unit file. Without
// systemd everything in it does nothing.
package systemd

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells the service manager how the service is. Its methods may be called from any goroutine; a manager that
// does not listen is said once in the log.
type Notifier struct {
	log      *slog.Logger
	watchdog time.Duration
	complain sync.Once
}

// NewNotifier reads from the environment what the manager wants to know (NOTIFY_SOCKET, WATCHDOG_USEC).
func NewNotifier(log *slog.Logger) (*Notifier, error) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("read the watchdog's time from the environment: %w", err)
	}
	return &Notifier{log: log, watchdog: every}, nil
}

// WatchdogTime returns after how much silence the manager restarts the service; 0 means never.
func (n *Notifier) WatchdogTime() time.Duration { return n.watchdog }

// Ready says that the start or a reload is over.
func (n *Notifier) Ready() { n.send(daemon.SdNotifyReady) }

// Reloading says that a reload begins; Ready ends it.
func (n *Notifier) Reloading() { n.send(daemon.SdNotifyReloading) }

// Stopping says that the service is on its way down.
func (n *Notifier) Stopping() { n.send(daemon.SdNotifyStopping) }

// Status sets the line that `systemctl status` shows.
func (n *Notifier) Status(text string) { n.send("STATUS=" + strings.ReplaceAll(text, "\n", " ")) }

// Alive feeds the watchdog.
func (n *Notifier) Alive() { n.send(daemon.SdNotifyWatchdog) }

// Hung asks the manager to do at once what it does when the watchdog is not fed.
func (n *Notifier) Hung() { n.send("WATCHDOG=trigger") }

func (n *Notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.complain.Do(func() {
			n.log.Error("the service manager does not listen", "socket", os.Getenv("NOTIFY_SOCKET"), "error", err)
		})
	}
}
