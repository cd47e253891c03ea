package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// Zone is the name of the zone that is asked for; it has host0 and so on.
const Zone = "bench.test"

// Address is that of host i.
func Address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// files are what all subjects and loads read.
type files struct {
	zone    string // a master file
	queries string // for dnsperf: name and type, a line each
}

func writeFiles(dir string, names int) (files, error) {
	f := files{zone: filepath.Join(dir, "zone"), queries: filepath.Join(dir, "queries")}
	err := write(f.zone, func(w *bufio.Writer) {
		fmt.Fprintf(w, "$ORIGIN %s.\n@ 3600 IN SOA ns admin 1 3600 600 86400 60\n@ 3600 IN NS ns\nns 3600 IN A 127.0.0.1\n", Zone)
		for i := range names {
			fmt.Fprintf(w, "host%d 60 IN A %s\n", i, Address(i))
		}
	})
	if err != nil {
		return f, err
	}
	return f, write(f.queries, func(w *bufio.Writer) {
		for _, i := range shuffled(names) {
			fmt.Fprintf(w, "host%d.%s A\n", i, Zone)
		}
	})
}

func write(path string, fill func(*bufio.Writer)) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriter(file)
	fill(w)
	return w.Flush()
}

// shuffled gives 0 to n-1 in an order that jumps about, the same each time.
func shuffled(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	state := uint64(1)
	for i := n - 1; i > 0; i-- {
		state = state*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
		j := int(state >> 33 % uint64(i+1))
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// packet is a query for the address of host i; its id is for the sender to write.
func packet(i int) []byte {
	b := []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for _, label := range []string{fmt.Sprint("host", i), "bench", "test"} {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0)
	return binary.BigEndian.AppendUint32(b, 1<<16|1) // A IN
}
