vcl 4.1;

backend balancer {
  .host = "127.0.0.1";
  .port = "8704";
  .connect_timeout = 1s;
  .first_byte_timeout = 30s;
}

sub vcl_recv {
  # A picture is the same for everybody.
  unset req.http.Cookie;
}

sub vcl_backend_response {
  # An old picture is better than an error; it is made new beside the answer.
  set beresp.grace = 1d;
  if (beresp.status >= 500) {
    if (bereq.is_bgfetch) {
      return (abandon);
    }
    if (bereq.retries < 2) {
      return (retry);
    }
  }
}

sub vcl_backend_error {
  if (bereq.retries < 2) {
    return (retry);
  }
}

sub vcl_deliver {
  if (obj.hits > 0) {
    set resp.http.X-Cache = "HIT";
  } else {
    set resp.http.X-Cache = "MISS";
  }
}
