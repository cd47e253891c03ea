package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
)

// multiPath is where the program makes several pictures from one request.
const multiPath = "/-/api/v1/multi"

// postMulti asks for several pictures and gives the answer; multipart/mixed
// brings the pictures themselves.
func (s *served) postMulti(ctx context.Context, paths []string) (*http.Response, error) {
	body, err := json.Marshal(map[string][]string{"paths": paths})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+multiPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "multipart/mixed")
	return s.client.Do(req)
}

// offersMulti says whether the program knows the path: with nothing to make it
// answers 400 then.
func (s *served) offersMulti(ctx context.Context) (bool, error) {
	res, err := s.postMulti(ctx, nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusBadRequest, nil
}

// multi does a set of jobs by one request.
func (s *served) multi(ctx context.Context, set []job) []outcome {
	outcomes := make([]outcome, len(set))
	paths := make([]string, len(set))
	for i, j := range set {
		paths[i] = s.path(j)
	}
	if err := s.readMulti(ctx, paths, set, outcomes); err != nil {
		for i := range outcomes {
			outcomes[i] = outcome{why: err.Error()}
		}
	}
	return outcomes
}

func (s *served) readMulti(ctx context.Context, paths []string, set []job, outcomes []outcome) error {
	res, err := s.postMulti(ctx, paths)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	_, values, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || values["boundary"] == "" {
		return errors.New("the answer has no parts")
	}
	parts := multipart.NewReader(res.Body, values["boundary"])
	for i := range set {
		part, err := parts.NextPart()
		if err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		picture, err := io.ReadAll(io.LimitReader(part, answerBytesMax))
		switch status := part.Header.Get("Status"); {
		case err != nil:
			return fmt.Errorf("part %d: %w", i, err)
		case status != "200":
			outcomes[i] = outcome{why: fmt.Sprintf("status %s: %s", status, firstLine(picture))}
		default:
			outcomes[i] = accept(picture, set[i])
		}
	}
	return nil
}
