package nova_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestZZServe(t *testing.T) {
	out := os.Getenv("NOVA_OUT")
	if out == "" {
		t.Skip("x")
	}
	c := newCloud(t)
	os.WriteFile(out, []byte(fmt.Sprintf("URL=%s\nADMIN=%s\nMEMBER=%s\nIMAGE=%s\n", c.url, c.boot.AdminPassword, c.boot.MemberPassword, c.image)), 0o600)
	for i := 0; i < 3600; i++ {
		time.Sleep(time.Second)
		if _, err := os.Stat(out); err != nil {
			return
		}
	}
}
