package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/outbox"
)

// openOutbox opens the events that wait on the disk. Where their folder is broken in a way that nobody can mend at once,
// log is nil, and events wait in memory: a board with a dying disk still tells what it sees.
func openOutbox(cfg *config.Config, boot string, log *slog.Logger) (waiting mqtt.Outbox, onDisk *outbox.Log, err error) {
	onDisk, err = outbox.Open(outbox.Config{
		Dir: cfg.OutboxDir(), MaxBytes: cfg.MQTT.Outbox.MaxBytes, DailyBytes: int64(cfg.MQTT.Outbox.DailyWriteMB) << 20,
		First: numberBefore(cfg.SequenceFile()), Boot: boot,
	}, log)
	switch {
	case err == nil:
		if n := onDisk.Len(); n > 0 {
			log.Info("events wait from the last time", "events", n)
		}
		return onDisk, onDisk, nil
	case errors.Is(err, outbox.ErrInUse), errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("state_dir: %w", err)
	}
	log.Error("no outbox: events wait in memory, and a restart loses them", "error", err)
	// Numbers that were given out are in the folder. Those of the time of day are above any that were.
	return mqtt.NewMemoryOutbox(cfg.MQTT.Queue, uint64(time.Now().UnixMilli())), nil, nil
}

// numberBefore returns the event number that an agent of before the outbox would have gone on with, 0 for none.
func numberBefore(path string) uint64 {
	var f struct {
		Next uint64 `json:"next"`
	}
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &f) != nil || f.Next >= 1<<52 {
		return 0
	}
	return f.Next
}

// closeOutbox ends the log on the disk, if there is one.
func (a *App) closeOutbox() error {
	if a.outbox == nil {
		return nil
	}
	return a.outbox.Close()
}
