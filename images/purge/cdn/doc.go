// Package cdn tells a CDN of orders: which surrogate keys it must not answer from
// its caches any more.
//
// Vocabulary. A hook is one configured call: a method and templates of a URL,
// headers and a body. The queue holds the orders that the CDN was not yet told.
// Each is told twice: at once, and again after a while, because what a request
// brought that was under way during the order may have been kept by the CDN
// meanwhile.
//
// Invariants: an order is on disk when Tell returns, and stays until the CDN said
// yes twice or was asked as often as configured; an order is told at least once
// and may be told more often, which does no harm; a queue that is full becomes
// one purge of all, which is more than was asked for and never less; templates
// see the fields of Fields only, and what they write is bounded. CDNs that want
// signed requests need a program in between.
package cdn
