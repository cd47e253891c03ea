package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nginxConfig serves /WIDTHxHEIGHTqQUALITY/kind/file with the image_filter
// module: one worker, no log, no cache. Arguments: load_module or nothing, the
// working folder, the address, the folder of originals.
const nginxConfig = `%s
daemon off;
master_process off;
pid %[2]s/nginx.pid;
error_log stderr error;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  server {
    listen %[3]s;
    location ~ "^/(?<w>[0-9]+)x(?<h>[0-9]+)q(?<q>[0-9]+)/(?<file>.*)$" {
      alias "%[4]s/$file";
      image_filter crop $w $h;
      image_filter_jpeg_quality $q;
      image_filter_buffer 64M;
    }
  }
}
`

// nginxModules are where Debian's package and the module's own build put it.
var nginxModules = []string{
	"/usr/lib/nginx/modules/ngx_http_image_filter_module.so",
	"/usr/share/nginx/modules/ngx_http_image_filter_module.so",
}

// startNginx serves the originals through nginx's image_filter.
func startNginx(ctx context.Context, c Config, work string) (*served, string, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, "", errors.New("nginx is not installed (Debian: nginx, libnginx-mod-http-image-filter)")
		}
	}
	load := ""
	for _, module := range nginxModules {
		if _, err := os.Stat(module); err == nil {
			load = "load_module " + module + ";"
			break
		}
	}
	if load == "" {
		return nil, "", errors.New("nginx has no image_filter module (Debian: libnginx-mod-http-image-filter)")
	}
	folder := filepath.Join(work, "nginx")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, "", err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	originals, err := filepath.Abs(c.Originals)
	if err != nil {
		return nil, "", err
	}
	config := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, load, folder, address, originals), 0o600); err != nil {
		return nil, "", err
	}
	version := strings.TrimPrefix(says(ctx, program, "-v"), "nginx version: nginx/")
	cmd := exec.CommandContext(ctx, program, "-p", folder, "-c", config)
	s := newServed(c, "nginx", "http://"+address, cmd, func(j job) string {
		return fmt.Sprintf("/%dx%dq%d/%s/%s", j.width, j.height, j.quality, j.original.kind, filepath.Base(j.original.path))
	})
	return s, version, s.start(ctx, "/")
}
