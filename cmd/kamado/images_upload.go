package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/store/upload"
	"github.com/kamado/kamado/internal/remote"
	"github.com/kamado/kamado/internal/unit"
)

// uploadAnswerMax bounds the answer to one upload. Unit: bytes.
const uploadAnswerMax = 64 << 10

func newImagesUploadCommand(a *app) *cobra.Command {
	var key, kind string
	var fresh bool
	cmd := &cobra.Command{
		Use:   "upload FILE...",
		Short: "Send pictures to a server as originals",
		Long: `Upload sends files to a running server, which keeps each as an original and forgets what was made of the one before. Each arrives whole
or not at all, compared by its SHA-256; what is no picture is refused, unless the server is configured to take anything.

A file is kept under its own name, with --kind below that kind, or under --key. What lies in many directories or in a bucket is better
brought by "kamado images import", or by an S3 client.`,
		Example: `  kamado images upload 1.jpg 2.jpg --kind recipes
  kamado images upload photo.jpg --key recipes/1.jpg`,
		Args: cobra.MinimumNArgs(1),
	}
	v := imagesVerb(a, cmd)
	cmd.Flags().StringVar(&key, "key", "", "whole key of the original; for one file")
	cmd.Flags().StringVar(&kind, "kind", "", "kind that the originals belong to, as in URLs")
	cmd.Flags().BoolVar(&fresh, "new", false, "refuse to replace an original that is there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := uploadKeys(a, args, key, kind)
		if err != nil {
			return err
		}
		c, err := originalsClient(v, "/")
		if err != nil {
			return err
		}
		var done []upload.Stored
		for i, file := range args {
			stored, err := sendOriginal(cmd.Context(), c, file, keys[i], fresh)
			if err != nil {
				return errors.Join(uploadError(err, file), a.showStored(done))
			}
			done = append(done, *stored)
		}
		return a.showStored(done)
	}
	return cmd
}

// uploadKeys are the keys of files.
func uploadKeys(a *app, files []string, key, kind string) ([]string, error) {
	if key != "" && (kind != "" || len(files) > 1) {
		return nil, usagef("--key is for one file, and names its kind itself")
	}
	prefix := ""
	if kind != "" {
		cfg, err := imagesConfig(a)
		if err != nil {
			return nil, err
		}
		prefix = cfg.Source(kind, "").Prefix + kind + "/"
	}
	keys := make([]string, len(files))
	for i, file := range files {
		if keys[i] = key; key == "" {
			keys[i] = prefix + filepath.Base(file)
		}
		if err := images.CheckKey(keys[i]); err != nil {
			return nil, usagef("%q cannot be the key of an original: %w", keys[i], err)
		}
	}
	return keys, nil
}

func originalsClient(v *serverFlags, prefix string) (*remote.Client, error) {
	base, token, h, err := v.resolve()
	if err != nil {
		return nil, err
	}
	c, err := remote.New(base, prefix, token, h)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return c, nil
}

// sendOriginal sends one file, with the checksum of what was read of it: a file that changes meanwhile is refused.
func sendOriginal(ctx context.Context, c *remote.Client, file, key string, fresh bool) (*upload.Stored, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	header := http.Header{"X-Amz-Checksum-Sha256": {base64.StdEncoding.EncodeToString(sum.Sum(nil))}}
	if fresh {
		header.Set("If-None-Match", "*")
	}
	res, err := c.Send(ctx, remote.Request{Method: http.MethodPut, Path: upload.Prefix[1:] + images.EscapeKey(key), Header: header, Body: f})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	stored := &upload.Stored{}
	if err := json.NewDecoder(io.LimitReader(res.Body, uploadAnswerMax)).Decode(stored); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.Base(), err)
	}
	return stored, nil
}

// uploadError gives a refusal the exit code of its status.
func uploadError(err error, what string) error {
	var r *remote.Refusal
	told := fmt.Errorf("%s: %w", what, err)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return notFoundf("%w", err)
	case !errors.As(err, &r):
		return err
	case r.Status == 0, r.Status == http.StatusTooManyRequests, r.Status == http.StatusServiceUnavailable:
		return &exitError{code: exitRetry, err: told}
	case r.Status == http.StatusBadRequest:
		return usagef("%w", told)
	case r.Status == http.StatusNotFound:
		return hinted(notFoundf("%w", told), "the server takes no uploads, or is another one")
	case r.Status == http.StatusUnauthorized, r.Status == http.StatusForbidden:
		return hinted(told, "name the server's data directory with --data, or a file with a credential with --token-file")
	}
	return told
}

func (a *app) showStored(list []upload.Stored) error {
	if len(list) == 0 {
		return nil
	}
	t := table{head: []string{"KEY", "BYTES", "FORMAT", "SIZE"}}
	for _, s := range list {
		size := ""
		if s.Width > 0 {
			size = fmt.Sprintf("%dx%d", s.Width, s.Height)
		}
		t.rows = append(t.rows, []string{s.Key, strconv.FormatInt(s.Bytes, 10), s.Format, size})
		if s.TakenDown {
			a.talkf("%s was taken down and stays hidden; \"kamado images restore\" ends that", s.Key)
		}
	}
	return a.show(list, t)
}

func newImagesGrantCommand(a *app) *cobra.Command {
	var r api.GrantRequest
	var most unit.Bytes
	var expires string
	cmd := &cobra.Command{
		Use:   "grant --key KEY --max-bytes N --expires 1h",
		Short: "Sign a URL by which a browser sends one picture",
		Long: `Grant prints the path of a URL by which who has it may send one original, without a credential, until it expires; put the server's public
address before it. --method GET, HEAD or DELETE gives one to read or to remove an original. The server signs it.`,
		Example: `  kamado images grant --key recipes/1.jpg --max-bytes 10MiB --expires 1h --new`,
		Args:    cobra.NoArgs,
	}
	v := imagesVerb(a, cmd)
	flags := cmd.Flags()
	flags.StringVar(&r.Key, "key", "", "whole key of the original")
	flags.StringVar(&r.Method, "method", http.MethodPut, "what may be done: PUT, GET, HEAD or DELETE")
	flags.TextVar(&most, "max-bytes", unit.Bytes(0), "how many bytes may be sent, as 10MiB; with PUT")
	flags.StringVar(&r.Type, "type", "", "Content-Type that must be sent; with PUT")
	flags.BoolVar(&r.New, "new", false, "an original that is there may not be replaced; with PUT")
	flags.StringVar(&expires, "expires", "", "until when: a length of time from now (1h) or a time (2026-12-01T00:00:00Z), at most 7 days ahead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if r.Key == "" || expires == "" || r.Method == http.MethodPut && most == 0 {
			return usagef("--key and --expires are needed, and --max-bytes for a PUT")
		}
		r.MaxBytes = int64(most)
		if r.Expires, err = parseExpires(expires, time.Now()); err != nil {
			return err
		}
		c, err := originalsClient(v, api.Prefix)
		if err != nil {
			return err
		}
		var answer api.SignAnswer
		if err := c.Do(cmd.Context(), http.MethodPost, "grant", nil, r, &answer); err != nil {
			return uploadError(err, r.Key)
		}
		if a.output == outputJSON {
			return writeJSON(a.stdout, answer)
		}
		_, err = fmt.Fprintln(a.stdout, answer.Path)
		return err
	}
	return cmd
}
