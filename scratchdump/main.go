package main

import (
	"context"
	"fmt"
	"os"

	"xbmedge/internal/embed"
	"xbmedge/internal/npy"
	"xbmedge/internal/photos"
)

func main() {
	model, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	list, err := photos.List(os.Args[2])
	if err != nil {
		panic(err)
	}
	set, _, err := embed.Photos(context.Background(), model, embed.Options{}, list)
	if err != nil {
		panic(err)
	}
	f, _ := os.Create(os.Args[3] + ".npy")
	if err := npy.WriteMatrix(f, set.Dim, set.Data); err != nil {
		panic(err)
	}
	f.Close()
	l, _ := os.Create(os.Args[3] + ".txt")
	for _, p := range set.Photos {
		fmt.Fprintln(l, p.Class)
	}
	l.Close()
}
