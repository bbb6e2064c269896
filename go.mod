module xbmedge

go 1.26
