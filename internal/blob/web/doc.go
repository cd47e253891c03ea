// Package web is a blob.Store over HTTP and HTTPS, for reading only: the objects
// lie on web servers of somebody else. Put, Delete and List are
// errors.ErrUnsupported.
//
// Vocabulary. A base is a URL that keys are joined to; several bases are
// mirrors, asked in turn while one is unavailable. A URL key is a key that is a
// whole URL (IsURL); it is served when that is configured and its host is on
// the list of hosts. The guard is what looks at an address before a connection
// to it is made.
//
// Invariants, whatever a key, a DNS server or a web server says:
//   - a request goes to a host of the list, with a scheme and a port of the
//     list, and so does what a redirect leads to;
//   - a connection goes to a public address, or to one of AllowNetworks. The
//     guard looks at the very address that is connected to, in the dialer, so
//     an answer of DNS that changes between two looks changes nothing;
//   - a proxy of the environment is not asked, cookies and credentials are not
//     sent, and https does not lead to http;
//   - headers, bodies, redirects, connections and time are bounded.
//
// An ETag is the server's, else made of Last-Modified and the length (two
// changes within one second that keep the length are then one), else a hash of
// the bytes, for which Stat has to read them. A server that announces fewer
// bytes than the object has, and sends no digest, cannot be found out here.
package web
