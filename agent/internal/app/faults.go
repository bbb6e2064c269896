package app

import (
	"encoding/json"
	"time"

	"xbmedge/agent/internal/mqtt"
)

// faultEvery is how often the same fault of the same camera is told over the broker.
const faultEvery = time.Minute

// fault tells that something is wrong, unless that was told in the last minute.
func (a *App) fault(code, msg, camera string) {
	now, key := time.Now(), code+" "+camera
	a.mu.Lock()
	last, told := a.faults[key]
	told = told && now.Sub(last) < faultEvery
	if !told {
		a.faults[key] = now
	}
	a.mu.Unlock()
	if !told {
		a.notice(mqtt.Fault{Code: code, Msg: msg, Camera: camera})
	}
}

// notice publishes a fault.
func (a *App) notice(f mqtt.Fault) {
	const longest = 500
	f.Schema, f.Node, f.TS = mqtt.FaultSchema, a.cfg.Node, float64(time.Now().UnixMilli())/1000
	if len(f.Msg) > longest {
		f.Msg = f.Msg[:longest] + "…"
	}
	if payload, err := json.Marshal(f); err == nil { // plain values: cannot fail
		a.client.Notice(a.topics.Error(), payload)
	}
}
