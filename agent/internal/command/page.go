package command

import (
	"log/slog"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/web"
)

// openPage serves the page for people of an agent.
func openPage(cfg *config.Config, a *app.App, c *curator.Curator, scene *web.Scene, log *slog.Logger) (*web.Server, error) {
	return web.Listen(cfg.Web.Listen, web.Parts{
		Node: cfg.Node, Token: cfg.Web.Token, Changes: c, Gallery: a.Gallery, Stats: a.Stats, Stages: a.Stages, Scene: scene, Log: log,
		Strangers: func() []string {
			if s := a.Strangers(); s != nil {
				return s.IDs()
			}
			return nil
		},
	})
}
