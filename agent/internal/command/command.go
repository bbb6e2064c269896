// Package command is xbm-agent's command line.
package command

import "xbmedge/internal/cli"

// New returns the program.
func New() *cli.Program {
	return &cli.Program{
		Name:    "xbm-agent",
		Summary: "recognise enrolled things in what a camera sees, and tell an MQTT broker",
		Long: `Things are enrolled into a gallery from a few pictures of each, with a model
that xbm-convert made. Then the agent looks at frames of its cameras, finds what
is nearest in the gallery, and publishes what comes, is seen better and goes.
What it does not know it calls unknown.`,
		Commands: []cli.Command{
			enroll(), calibrateCommand(), galleryGroup(), once(), run(), replayCommand(), benchCommand(), listen(), mqttGroup(),
			outboxGroup(), haGroup(),
			camerasGroup(), captureCommand(), checkConfig(), verify(), certify(), serviceGroup(), doctorCommand(), supportBundle(),
			version(),
		},
	}
}
