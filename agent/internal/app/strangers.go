package app

import (
	"context"
	"fmt"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/strangers"
	"xbmedge/internal/gallery"
)

// saveEvery bounds how many strangers a power cut makes the agent forget, and how often the disk is written.
const saveEvery = 30 * time.Second

// openStrangers returns the store for a model's embeddings: the one at work where it is for the same, nil where none are
// to be remembered.
func (a *App) openStrangers(cfg *config.Config, model gallery.Model) (*strangers.Strangers, error) {
	if cfg.Strangers.Keep == 0 {
		return nil, nil
	}
	if a.cameras != nil {
		if s := a.Strangers(); s != nil && s.Model() == model {
			return s, nil
		}
	}
	s, err := strangers.Open(cfg.StrangersFile(), model, cfg.Strangers.Keep, a.log)
	if err != nil {
		return nil, fmt.Errorf("strangers: %w", err)
	}
	return s, nil
}

// Strangers returns the store of unknown things at work, nil where none are remembered.
func (a *App) Strangers() *strangers.Strangers { return a.atWork().strangers }

// saveStrangers writes the store now and then until ctx ends. The last time is when the cameras have ended.
func (a *App) saveStrangers(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	told := false
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		s := a.Strangers()
		if s == nil {
			continue
		}
		err := s.Save()
		if err != nil && !told {
			a.log.Warn("strangers are not kept; still trying", "error", err)
		}
		told = err != nil
	}
}
