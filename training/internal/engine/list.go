package engine

// Status says whether an engine can be used on this machine.
type Status struct {
	Name    string `json:"name"`
	Ready   bool   `json:"ready"`
	Devices int    `json:"devices"` // 0 where it is not ready
	Detail  string `json:"detail"`  // what it is good for, or what to do to have it
}

// List tries every engine.
func List() []Status {
	list := []Status{{Name: "go", Ready: true, Devices: 1, Detail: "pure Go, always there; repeats exactly"}}
	for _, xla := range []struct{ name, use string }{
		{"xla:cpu", "compiled for this processor, several times as fast as go; " + onSeveral("xla:cpu")},
		{"xla:cuda", "NVIDIA GPUs; " + onSeveral("xla:cuda")},
	} {
		s := Status{Name: xla.name}
		if e, err := Open(xla.name); err != nil {
			s.Detail = err.Error()
		} else {
			s.Ready, s.Devices, s.Detail = true, int(e.Backend.NumDevices()), xla.use
			e.Close()
		}
		list = append(list, s)
	}
	return list
}

func onSeveral(name string) string { return "on several devices: " + name + "×N" }
