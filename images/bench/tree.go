package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// originalTree is a folder with very many originals {kind}/{id}.jpg: names of
// few small files, so that the number of keys costs directory entries and
// neither inodes nor bytes. To the program under measurement a name is a name.
type originalTree struct {
	dir   string
	count int
	files int // different pictures
}

// What a tree is made of. ext4 allows 65,000 names of one file; a folder of
// ten thousand names is what applications that spread their keys end up with.
const (
	treeLinksMax  = 60_000
	treeFolder    = 10_000
	treeEntryMax  = 64 // bytes of a directory entry with what is left free beside it; measured: about 30
	treeWidth     = 640
	treeHeight    = 480
	treeCountMax  = 100_000_000
	treeSourceDir = "sources"
)

// newTree describes a tree of so many originals that are names of at least
// so many files.
func newTree(dir string, count, files int) originalTree {
	return originalTree{dir: dir, count: count, files: max(files, (count+treeLinksMax-1)/treeLinksMax)}
}

// key is the kind and the id of one original, by its number from 0.
func (t originalTree) key(i int) (kind, id string) {
	return fmt.Sprintf("kind%04d", i/treeFolder), fmt.Sprint(i % treeFolder)
}

func (t originalTree) originals() string { return filepath.Join(t.dir, "originals") }

// room says what is missing on the disk for so many originals.
func (t originalTree) room() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(t.dir, &fs); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", t.dir, err)
	}
	inodes, size := uint64(t.files+t.count/treeFolder+16), uint64(t.count)*treeEntryMax+64<<20
	if fs.Files > 0 && fs.Ffree < inodes {
		return fmt.Errorf("%d originals need %d inodes, %s has %d", t.count, inodes, t.dir, fs.Ffree)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < size {
		return fmt.Errorf("%d originals need %d MB, %s has %d", t.count, size>>20, t.dir, free>>20)
	}
	return nil
}

// grow makes the originals from..to of the tree; those before are there.
func (t originalTree) grow(ctx context.Context, from, to int) error {
	if err := t.sources(); err != nil {
		return err
	}
	folders := make(chan int)
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	for range 2 * runtime.NumCPU() { // creating names waits for the journal now and then
		wg.Go(func() {
			for folder := range folders {
				if err := t.fill(folder, from, to); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for folder := from / treeFolder; folder*treeFolder < to && ctx.Err() == nil && len(failed) == 0; folder++ {
		folders <- folder
	}
	close(folders)
	wg.Wait()
	select {
	case err := <-failed:
		return fmt.Errorf("make originals: %w", err)
	default:
		return ctx.Err()
	}
}

// fill makes those originals of one folder that are in from..to.
func (t originalTree) fill(folder, from, to int) error {
	first, end := max(from, folder*treeFolder), min(to, (folder+1)*treeFolder)
	kind, _ := t.key(first)
	if err := os.MkdirAll(filepath.Join(t.originals(), kind), 0o755); err != nil {
		return err
	}
	for i := first; i < end; i++ {
		_, id := t.key(i)
		if err := os.Link(t.source(i%t.files), filepath.Join(t.originals(), kind, id+".jpg")); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

func (t originalTree) source(i int) string { return filepath.Join(t.dir, treeSourceDir, fmt.Sprint(i)) }

// sources makes the different pictures, where they are not there.
func (t originalTree) sources() error {
	if err := os.MkdirAll(filepath.Join(t.dir, treeSourceDir), 0o755); err != nil {
		return err
	}
	for i := range t.files {
		if _, err := os.Stat(t.source(i)); err == nil {
			continue
		}
		picture, err := treePicture(uint64(i))
		if err != nil {
			return err
		}
		if err := os.WriteFile(t.source(i), picture, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// treePicture is a picture of soft areas and edges, about 30 KB.
func treePicture(seed uint64) ([]byte, error) {
	random := rand.New(rand.NewPCG(seed, 1))
	m := image.NewYCbCr(image.Rect(0, 0, treeWidth, treeHeight), image.YCbCrSubsampleRatio420)
	slope, bar := 1+random.IntN(4), 20+random.IntN(60)
	for i := range m.Y {
		x, y := i%m.YStride, i/m.YStride
		m.Y[i] = byte(40 + (x*slope+y)/8%120 + x/bar%2*40 + random.IntN(12))
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = byte(90+i%m.CStride/5), byte(150-i/m.CStride/5)
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 85})
	return b.Bytes(), err
}

// remove takes the whole tree away, several folders at once.
func (t originalTree) remove() error {
	entries, err := os.ReadDir(t.originals())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	folders := make(chan string)
	var wg sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		wg.Go(func() {
			for folder := range folders {
				_ = os.RemoveAll(folder) // what is left is told of below
			}
		})
	}
	for _, entry := range entries {
		folders <- filepath.Join(t.originals(), entry.Name())
	}
	close(folders)
	wg.Wait()
	return os.RemoveAll(t.dir)
}
