package sigv4

// Error is why a request or its body is refused.
type Error struct {
	Code   string // of "List of error codes", Amazon S3 API Reference
	Status int    // HTTP
	Detail string // for the client: what is wrong; holds nothing secret
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// The refusals. Compare with errors.Is.
var (
	ErrAnonymous   = &Error{"AccessDenied", 403, "the request is not signed"}
	ErrMalformed   = &Error{"AuthorizationHeaderMalformed", 400, "the Authorization header is not of AWS4-HMAC-SHA256"}
	ErrQuery       = &Error{"AuthorizationQueryParametersError", 400, "the X-Amz parameters of the URL are not those of AWS4-HMAC-SHA256"}
	ErrVersion     = &Error{"InvalidRequest", 400, "the authorization mechanism is not supported: use AWS4-HMAC-SHA256"}
	ErrAccessKey   = &Error{"InvalidAccessKeyId", 403, "the access key is not known here"}
	ErrSignature   = &Error{"SignatureDoesNotMatch", 403, "the signature is not that of this request: check the secret key, the region and the host name"}
	ErrSkew        = &Error{"RequestTimeTooSkewed", 403, "the request's time and the server's differ by more than 15 minutes"}
	ErrExpired     = &Error{"AccessDenied", 403, "the URL has expired"}
	ErrNotYet      = &Error{"AccessDenied", 403, "the URL is not valid yet"}
	ErrDate        = &Error{"AccessDenied", 403, "the request has no X-Amz-Date or Date that can be read"}
	ErrUnsigned    = &Error{"AccessDenied", 403, "there are headers in the request that have to be signed and are not"}
	ErrPayload     = &Error{"XAmzContentSHA256Mismatch", 400, "the x-amz-content-sha256 is not that of the body"}
	ErrNoPayload   = &Error{"InvalidRequest", 400, "the x-amz-content-sha256 is missing or is none that is known"}
	ErrLength      = &Error{"MissingContentLength", 411, "a body in chunks needs an X-Amz-Decoded-Content-Length"}
	ErrChunk       = &Error{"InvalidRequest", 400, "the body is not in aws-chunked form"}
	ErrChunkLarge  = &Error{"InvalidRequest", 400, "the body has other bytes than its X-Amz-Decoded-Content-Length says"}
	ErrTrailer     = &Error{"MalformedTrailerError", 400, "the trailer of the body is not what X-Amz-Trailer says"}
	ErrChunkSigned = &Error{"SignatureDoesNotMatch", 403, "the signature of a chunk or of the trailer is not that of its bytes"}
	ErrECDSA       = &Error{"NotImplemented", 501, "signatures of AWS4-ECDSA-P256-SHA256 are not supported"}
)
