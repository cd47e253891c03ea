package identity

// migrations are the tables. Times are milliseconds since 1970, digests and secrets in base64url; 0 and ” stand for nothing.
var migrations = []string{
	// identity_uids has one row: next is the first UID that no server got. It is never lowered.
	`CREATE TABLE identity_uids (id BIGINT NOT NULL PRIMARY KEY, next BIGINT NOT NULL);
CREATE TABLE identity_restores (id BIGINT NOT NULL PRIMARY KEY, count BIGINT NOT NULL);
CREATE TABLE identity_users (
	uid BIGINT NOT NULL PRIMARY KEY,
	created BIGINT NOT NULL,
	banned BIGINT NOT NULL,
	ban_reason TEXT NOT NULL,
	muted BIGINT NOT NULL,
	mute_reason TEXT NOT NULL,
	merged_into BIGINT NOT NULL,
	deleted BIGINT NOT NULL
);
CREATE TABLE identity_pairs (
	digest TEXT NOT NULL PRIMARY KEY,
	provider TEXT NOT NULL,
	subject TEXT NOT NULL,
	uid BIGINT NOT NULL,
	linked BIGINT NOT NULL,
	unlinked BIGINT NOT NULL
);
CREATE INDEX identity_pairs_uid ON identity_pairs (uid);
CREATE INDEX identity_pairs_subject ON identity_pairs (subject, uid);
CREATE TABLE identity_passwords (digest TEXT NOT NULL PRIMARY KEY, uid BIGINT NOT NULL, phc TEXT NOT NULL);
CREATE TABLE identity_sessions (
	id TEXT NOT NULL PRIMARY KEY,
	uid BIGINT NOT NULL,
	created BIGINT NOT NULL,
	used BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	ends BIGINT NOT NULL,
	address TEXT NOT NULL,
	agent TEXT NOT NULL,
	family TEXT NOT NULL,
	current TEXT NOT NULL,
	previous TEXT NOT NULL,
	salt TEXT NOT NULL,
	rotated BIGINT NOT NULL
);
CREATE INDEX identity_sessions_uid ON identity_sessions (uid, used);
CREATE INDEX identity_sessions_expires ON identity_sessions (expires);
CREATE TABLE identity_feed (id BIGINT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL);
CREATE TABLE identity_notices (
	seq BIGINT NOT NULL PRIMARY KEY,
	kind TEXT NOT NULL,
	subject TEXT NOT NULL,
	value BIGINT NOT NULL,
	ends BIGINT NOT NULL
);
CREATE TABLE identity_keys (
	id TEXT NOT NULL PRIMARY KEY,
	seed TEXT NOT NULL,
	created BIGINT NOT NULL,
	signs BIGINT NOT NULL,
	retires BIGINT NOT NULL,
	ends BIGINT NOT NULL
);
CREATE TABLE identity_services (
	name TEXT NOT NULL PRIMARY KEY,
	digest TEXT NOT NULL,
	scopes BIGINT NOT NULL,
	created BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);
CREATE TABLE identity_merges (
	loser BIGINT NOT NULL PRIMARY KEY,
	winner BIGINT NOT NULL,
	state TEXT NOT NULL,
	begun BIGINT NOT NULL,
	done BIGINT NOT NULL,
	move_after BIGINT NOT NULL
);
CREATE INDEX identity_merges_state ON identity_merges (state, winner);
CREATE TABLE identity_secrets (purpose TEXT NOT NULL PRIMARY KEY, secret TEXT NOT NULL);
CREATE TABLE identity_spent (digest TEXT NOT NULL PRIMARY KEY, until BIGINT NOT NULL);
CREATE INDEX identity_spent_until ON identity_spent (until);
INSERT INTO identity_uids (id, next) VALUES (1, 1);
INSERT INTO identity_restores (id, count) VALUES (1, 0);
INSERT INTO identity_feed (id, seq) VALUES (1, 0)`,
}

// forever is the end of a restriction that has none, in rows.
const forever = -1
