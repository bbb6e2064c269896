package app

import (
	"xbmedge/agent/internal/health"
	"xbmedge/internal/gallery"
)

// Gallery returns the gallery that the cameras at work ask. Nobody changes it: a change makes another.
func (a *App) Gallery() *gallery.Gallery { return a.atWork().gallery.Load() }

// Stages returns the agent's loops and how long each has been silent.
func (a *App) Stages() []health.State { return a.health.States() }
