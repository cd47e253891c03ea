// Package imgproxy reads the URLs of imgproxy, so that a service that has them in
// its pages can move without changing a page:
//
//	/{signature}/{option:value:...}/.../plain/{source}@{extension}
//	/{signature}/{option:value:...}/.../{source in base64url}.{extension}
//	/{signature}/{resizing type}/{width}/{height}/{gravity}/{enlarge}/{source}
//
// Vocabulary: an option has a name, of which there are short and long forms, and
// arguments between colons; later options change earlier ones. A source is what
// names the original: local:///key and a bare key are keys of the default origin,
// s3://bucket/key of the origin of that bucket, http and https URLs of an origin
// that takes URLs as keys.
//
// The signature is base64url of HMAC-SHA256 over salt and path by a key of the
// dialect's own, possibly cut short; several pairs of key and salt may be valid.
//
// Many spellings mean one rendition: options in any order, long or short, twice.
// They all become the same images.Rendition, and so share one result. What
// imgproxy knows and this service does not is refused by name and never ignored,
// because a picture that is silently another is worse than none. The reference is
// imgproxy's documentation, version 4, "Processing an image".
package imgproxy
