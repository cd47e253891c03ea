package wire

// reasons tell people why a connection ended, and clients what to do. Closing.retry_ms, where it is set, says after which time.
var reasons = map[Reason]struct{ text, then string }{
	Reason_REASON_UNSPECIFIED: {"the connection has ended", "Connect again after `retry_ms`."},
	Reason_REASON_INVALID:     {"the client sent something that is no frame", "Do not come again: it is a mistake of the client."},
	Reason_REASON_VERSION:     {"the client is too old", "Load a newer client."},
	Reason_REASON_TOKEN:       {"the token does not count, or does not count any more", "Get another token, by refresh or by signing in, and connect with it."},
	Reason_REASON_BANNED:      {"this user may not come in", "Do not come again. `text` says until when."},
	Reason_REASON_REPLACED:    {"the same user has come in elsewhere", "Do not come again by yourself, or two clients take turns: ask the person."},
	Reason_REASON_SLOW:        {"the client did not read what was sent", "Connect again after `retry_ms`, with `resume`, and read."},
	Reason_REASON_SILENT:      {"the client gave no sign of life", "Connect again with `resume`."},
	Reason_REASON_FULL:        {"there is no room for another connection", "Connect again after `retry_ms`, there or at another of `nodes`."},
	Reason_REASON_FLOOD:       {"the client sent too many commands", "Connect again after `retry_ms`, and send less."},
	Reason_REASON_DRAIN:       {"this server is being emptied", "Connect at `place`, without `resume`, and join again."},
	Reason_REASON_MAINTENANCE: {"the world is closed for maintenance", "Connect again after `retry_ms`."},
	Reason_REASON_KICKED:      {"an operator ended the connection", "Do not come again by yourself."},
	Reason_REASON_INTERNAL:    {"something went wrong in the server", "Connect again after `retry_ms`, each time later than the last time."},
}

// ReasonText says to people why a connection ended. A reason that came later has a text too.
func ReasonText(r Reason) string {
	if known, ok := reasons[r]; ok {
		return known.text
	}
	return reasons[Reason_REASON_UNSPECIFIED].text
}

// ReasonAdvice says what a client does next, as docs/protocol/game.md has it.
func ReasonAdvice(r Reason) string {
	if known, ok := reasons[r]; ok {
		return known.then
	}
	return reasons[Reason_REASON_UNSPECIFIED].then
}
