// Package images drives the delivery of pictures with other people's programs: the
// built program as a process of its own, and what its users have around it.
//
// Vocabulary: a client is imgproxy's own library for Node, which writes URLs; a
// peer is a real imgproxy, asked for the same URLs; a CDN is nginx with a cache in
// front; the suite is http-cache-tests, which tests caches between a client and an
// origin of its own. What comes from npm lies in .cache/images, where ./setup test
// puts it by the lock file of this folder. What is missing is a skip that names it.
//
// What one part answers to one request is tested beside it; here it is whether
// other people's programs get what they are promised.
package images
