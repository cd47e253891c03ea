// Package console is the web console: pages that show what Kamado does and let
// a person try it.
//
// Words. A page is a whole document; a fragment is a part of one that htmx puts
// in its place; the feed is the stream of events that keeps pages current; a part
// of a page that polls asks for its fragment again while somebody can see it; the
// catalogue holds every text that a person reads, by key, one file a language. The
// first five minutes are steps that turn green when the services say that something
// happened; the stage starts and kills further nodes for them.
//
// Invariants.
//   - The console is a client of the services' public HTTP interfaces and
//     imports none of their packages: what it can do, a script can do.
//   - It keeps nothing but the last minutes of samples for sparklines, and which of
//     the first steps it saw done, in memory.
//     What is uploaded passes through. Pages are rendered on the server; what runs in the
//     browser are the files under static, served from this program. Nothing is
//     loaded from anywhere else, and no page holds a script or style of its own
//     (the Content-Security-Policy forbids it).
//   - No text stands in a template or a script; a test holds that.
//   - Everything is behind the Guard: reads for this machine, the rest for the
//     operator. The operator's token stays on the server.
package console
