package arm64_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// kernels are the packages with assembly for arm64, and what runs them under
// the emulator.
var kernels = []struct {
	pkg   string
	tests []string // each must pass, and none be skipped
	fuzz  []string
}{
	{
		pkg: "images/jpeg/dct",
		tests: []string{
			"TestInverseTwinsAgree", "TestInverseIsTheDCT", "TestInverseChecksLengths",
			"TestForwardTwinsAgree", "TestForwardIsTheDCT", "TestQuantizerDividesExactly",
		},
		fuzz: []string{"FuzzInverseTwins", "FuzzForwardTwins"},
	},
	{
		pkg:   "images/resample",
		tests: []string{"TestTwinsAgree", "TestPlaneIsTheFormula", "TestFlatStaysFlat", "TestOutsideIsNotLookedAt", "TestPictureAllocatesNothing"},
		fuzz:  []string{"FuzzTwins"},
	},
	{
		// No kernels of its own: decoding and encoding whole files with those above.
		pkg: "images/jpeg",
		tests: []string{
			"TestFullScaleAgreesWithStandardLibrary", "TestOrientationIsAppliedWhileDecoding", "TestRegionCoversWhatWasAskedFor",
			"TestTruncatedIsGrey", "TestEncodeIsReadBack", "TestProgressiveIsTheSamePicture",
		},
	},
}

// fuzzTime is how long each target looks for a difference.
const fuzzTime = "10s"

// goTool runs the go command for an architecture, in the module's folder.
func goTool(t *testing.T, arch string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s for %s: %v\n%s", strings.Join(args, " "), arch, err, out)
	}
}

// needsEmulator skips the test in the short form, and where qemu-aarch64 is missing.
func needsEmulator(t *testing.T) {
	t.Helper()
	if os.Getenv("KAMADO_TEST_ALL") != "1" {
		t.Skip("set KAMADO_TEST_ALL=1")
	}
	if _, err := exec.LookPath("qemu-aarch64"); err != nil {
		t.Skip("needs qemu-aarch64: apt-get install -y --no-install-recommends qemu-user")
	}
}

// emulated writes a script that runs a program of arm64, also when the program starts
// itself, as fuzzing does.
func emulated(t *testing.T, program string) string {
	t.Helper()
	path := program + ".sh"
	script := "#!/bin/sh\nexec qemu-aarch64 -0 \"$0\" '" + program + "' \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// testBinary builds the tests of a package for arm64 and returns what starts them.
func testBinary(t *testing.T, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(pkg)+".test")
	goTool(t, "arm64", "test", "-c", "-o", program, "./"+pkg)
	return emulated(t, program)
}

// run starts a program of arm64 in a package's folder and returns what it wrote.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestKernelsBuild(t *testing.T) {
	t.Parallel()
	build, vet := []string{"build"}, []string{"vet"}
	for _, k := range kernels {
		build, vet = append(build, "./"+k.pkg), append(vet, "./"+k.pkg)
	}
	goTool(t, "arm64", build...)
	if os.Getenv("KAMADO_TEST_ALL") == "1" {
		goTool(t, "arm64", vet...)
	}
}

func TestTwinsAgree(t *testing.T) {
	needsEmulator(t)
	for _, k := range kernels {
		t.Run(k.pkg, func(t *testing.T) {
			binary, dir := testBinary(t, k.pkg), filepath.Join("..", "..", k.pkg)
			out := run(t, dir, binary, "-test.v", "-test.run", "^("+strings.Join(k.tests, "|")+")$")
			for _, name := range k.tests {
				if !strings.Contains(out, "--- PASS: "+name+" ") {
					t.Errorf("%s has not run:\n%s", name, out)
				}
			}
			for _, name := range k.fuzz {
				run(t, dir, binary, "-test.run", "^$", "-test.fuzz", "^"+name+"$", "-test.fuzztime", fuzzTime,
					"-test.fuzzcachedir", t.TempDir(), "-test.parallel", "1")
			}
		})
	}
}

// TestPicturesAreTheSame compares what lines has here and on arm64.
func TestPicturesAreTheSame(t *testing.T) {
	needsEmulator(t)
	binary := testBinary(t, "test/arm64")
	out := run(t, t.TempDir(), binary, "-test.v", "-test.run", "^TestPictures$")
	var got []string
	for line := range strings.Lines(out) {
		if _, after, found := strings.Cut(line, linePrefix); found {
			got = append(got, strings.TrimSpace(after))
		}
	}
	want := lines(t)
	for i, line := range want {
		if i >= len(got) || got[i] != line {
			t.Errorf("arm64 differs: here %s", line)
		}
	}
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("arm64 has %d lines, here are %d:\n%s", len(got), len(want), out)
	}
}

// TestProgramsAnswerTheSame asks a service of each architecture for the same renditions.
func TestProgramsAnswerTheSame(t *testing.T) {
	needsEmulator(t)
	dir := t.TempDir()
	here, there := filepath.Join(dir, "kamado"), filepath.Join(dir, "kamado-arm64")
	goTool(t, "", "build", "-o", here, "./cmd/kamado")
	goTool(t, "arm64", "build", "-o", there, "./cmd/kamado")
	originals := filepath.Join(dir, "originals")
	if err := os.MkdirAll(filepath.Join(originals, "photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(originals, "photos", "1.jpg"), original(t), 0o644); err != nil {
		t.Fatal(err)
	}
	a, b := serve(t, here, originals), serve(t, emulated(t, there), originals)
	for _, path := range []string{"/photos/1/200/x.jpg", "/photos/1/333x111cq70/x.jpg", "/photos/1/64x64s/x.jpg", "/photos/1/1200q95/x.jpg"} {
		want, got := get(t, a+path), get(t, b+path)
		if !bytes.Equal(want, got) || !slices.Equal(want[:2], []byte{0xff, 0xd8}) {
			t.Errorf("%s: %d bytes here, %d on arm64, and they differ", path, len(want), len(got))
		}
	}
}
