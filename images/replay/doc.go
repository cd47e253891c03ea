// Package replay sends the requests of an access log to a service of pictures and
// tells what came back: for a move from another service, or from one version of
// this one to the next.
//
// Vocabulary: the candidate is the service that is tried; the reference, if there
// is one, is the service that answers today. Of each request that both answer with
// a picture, the two are compared by how they look (a difference hash of 64 bits:
// the distance is how many differ; below 6 a person sees the same picture) and by
// their bytes. Without a reference the log's own status is compared.
//
// Nothing but GET is sent, to the two services only. Memory does not grow with the
// log: requests are read one by one, and what is listed is bounded.
package replay
