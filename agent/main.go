// Command xbm-agent runs on a camera board: it recognises enrolled things in what its cameras see and tells an MQTT
// broker. `xbm-agent help` lists its commands.
package main

import "xbmedge/agent/internal/command"

func main() { command.New().Main() }
