// Command mongodb is a small double of a MongoDB server for tests: FerretDB with
// SQLite files in a directory, behind a front that makes it as atomic as MongoDB.
// It is in a module of its own, so that FerretDB's dependencies stay out of the product.
//
// It prints its URI as one line when it can be used, and ends when its standard
// input does. What it is not: a replica set, durable, fast. FerretDB reads a document, changes it, and writes it in
// separate steps, so that two compare-and-sets of one version can both succeed;
// MongoDB changes one document at a time. The front therefore lets one
// writing command in at a time.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where the front listens; loopback only, there are no credentials")
	dir := flag.String("dir", "", "where SQLite files lie")
	flag.Parse()
	if err := run(*listen, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "mongodb:", err)
		os.Exit(1)
	}
}

func run(listen, dir string) error {
	if dir == "" {
		return errors.New("want -dir")
	}
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/",
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	behind, err := url.Parse(db.MongoDBURI())
	if err != nil {
		cancel()
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		cancel()
		return err
	}
	f := &front{behind: behind.Host}
	go f.serve(l)
	fmt.Printf("mongodb://%s/\n", l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	l.Close()
	cancel()
	return <-ended
}

// front passes messages on, and writing ones alone.
type front struct {
	behind  string // address of FerretDB
	writing sync.Mutex
}

func (f *front) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = f.talk(c) // a client that ends is no error
		}()
	}
}

// talk takes requests and brings answers, one after the other: FerretDB gives
// exactly one message for each.
func (f *front) talk(client net.Conn) error {
	server, err := net.Dial("tcp", f.behind)
	if err != nil {
		return err
	}
	defer server.Close()
	for {
		request, err := message(client)
		if err != nil {
			return err
		}
		answer, err := f.pass(server, request)
		if err != nil {
			return err
		}
		if _, err := client.Write(answer); err != nil {
			return err
		}
	}
}

func (f *front) pass(server net.Conn, request []byte) ([]byte, error) {
	if writes(request) {
		f.writing.Lock()
		defer f.writing.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return message(server)
}

// message reads one of the wire protocol: 4 bytes of length (little endian, themselves included) and the rest.
func message(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	const least, most = 16, 48_000_000
	if n < least || n > most {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	b := make([]byte, n)
	copy(b, head[:])
	_, err := io.ReadFull(r, b[4:])
	return b, err
}

// writes says whether a message is a command that changes documents. Layout of OP_MSG (opcode 2013): header 16, flags 4, kind of the first section 1 (0: one
// document), length of the document 4, type of its first element 1, its name, which is the command's.
func writes(m []byte) bool {
	const opMsg, name = 2013, 16 + 4 + 1 + 4 + 1
	if len(m) < name || binary.LittleEndian.Uint32(m[12:]) != opMsg {
		return false
	}
	command, _, _ := bytes.Cut(m[name:], []byte{0})
	switch string(command) {
	case "insert", "update", "delete", "findAndModify", "create", "createIndexes", "drop":
		return true
	}
	return false
}
