// Package command is xbm-agent's command line.
package command

import "xbmedge/internal/cli"

const usage = `xbm-agent recognises enrolled things in what a camera sees and tells an MQTT broker.

  xbm-agent enroll --model M --gallery G NAME FILE|FOLDER...   enroll one thing from its pictures
  xbm-agent enroll --model M --gallery G --dir FOLDER          enroll one thing from each sub-folder
  xbm-agent gallery list --gallery G [--json]                  list what is enrolled
  xbm-agent gallery remove --gallery G ID...                   forget things
  xbm-agent once --model M --gallery G --image F [--json]      recognise one picture
  xbm-agent run --config F [--set key=value]... [--results F]  run the cameras
  xbm-agent listen [--broker URL] [--topic T] [--json]         print what arrives at a broker
  xbm-agent check --config F [--set key=value]...              check a configuration and what it names
  xbm-agent version [--json]                                   version and parts compiled in
  xbm-agent help

'xbm-agent COMMAND --help' lists a command's flags.
`

// New returns the program.
func New() *cli.Program {
	return &cli.Program{Name: "xbm-agent", Usage: usage, Commands: map[string]cli.Func{
		"enroll": enroll, "gallery": galleryCommand, "once": once, "run": runAgent, "listen": listen, "check": check, "version": version,
	}}
}
