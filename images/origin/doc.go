// Package origin finds originals and reads them.
//
// Vocabulary: a source is a store of originals with a name and its manners
// (timeout, freshness, error budget); a route says which source and prefix the
// originals of a kind or of a Host live under; the identity of an original is
// what changes when it is replaced: its source, key and ETag. An original is
// named by a kind and an id, and then some names are tried in a fixed order
// and nothing else, or by its whole key, which may be a URL. A revision says
// that an original was purged (its stamp enters the identity) or taken down.
//
// Invariants: nothing is ever searched for, so a request costs at most as many
// questions as there are names; an original larger than the bound is refused
// before its bytes are read; how many remote originals are held at once is
// bounded; what is read belongs to one identity, and a source that changed in
// between is asked again; a source, or a host in URLs, that fails spends its own
// error budget and harms no other. Originals of a local source are not cached here: the
// system's page cache does that.
package origin
