-- Times are microseconds since 1970, 0 for none. Lists and maps are JSON.

-- The counter orders everything that others follow: see Tx.Next.
CREATE TABLE counter (
	id BIGINT PRIMARY KEY,
	n  BIGINT NOT NULL
);
INSERT INTO counter (id, n) VALUES (1, 0);

CREATE TABLE device (
	id            TEXT PRIMARY KEY,
	identity      TEXT NOT NULL,
	identity_hash TEXT NOT NULL,
	status        TEXT NOT NULL,
	type          TEXT NOT NULL,
	release       TEXT NOT NULL,
	parent        TEXT NOT NULL,
	provides      TEXT NOT NULL,
	report        BIGINT NOT NULL, -- hash of the last report, 0 for none
	member        BIGINT NOT NULL, -- counter when it was accepted or changed its type
	version       BIGINT NOT NULL, -- counter when its standing changed
	created_at    BIGINT NOT NULL,
	seen_at       BIGINT NOT NULL
);
-- A decommissioned device keeps its history; its identity may join anew.
CREATE UNIQUE INDEX device_identity ON device (identity_hash) WHERE status <> 'decommissioned';
CREATE INDEX device_status ON device (status, id);
CREATE INDEX device_type ON device (type, id);
CREATE INDEX device_release ON device (release, id);

-- How many devices there are, so that nobody has to count a million rows.
CREATE TABLE device_count (
	status TEXT NOT NULL,
	type   TEXT NOT NULL,
	n      BIGINT NOT NULL,
	PRIMARY KEY (status, type)
);

CREATE TABLE device_key (
	device      TEXT NOT NULL REFERENCES device (id),
	fingerprint TEXT NOT NULL,
	pem         TEXT NOT NULL,
	status      TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	PRIMARY KEY (device, fingerprint)
);

CREATE TABLE inventory (
	device     TEXT PRIMARY KEY REFERENCES device (id),
	attributes TEXT NOT NULL
);

CREATE TABLE release (
	name       TEXT PRIMARY KEY,
	seq        BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX release_seq ON release (seq);

CREATE TABLE artifact (
	id         TEXT PRIMARY KEY,
	seq        BIGINT NOT NULL,
	release    TEXT NOT NULL REFERENCES release (name),
	sha256     TEXT NOT NULL UNIQUE,
	size       BIGINT NOT NULL,
	about      TEXT NOT NULL, -- what it needs and brings
	note       TEXT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX artifact_release ON artifact (release, seq);

CREATE TABLE deployment (
	id          TEXT PRIMARY KEY,
	seq         BIGINT NOT NULL, -- devices with a greater device.member are not in it
	name        TEXT NOT NULL,
	release     TEXT NOT NULL,
	kind        TEXT NOT NULL,
	type        TEXT NOT NULL,
	filter      TEXT NOT NULL,
	status      TEXT NOT NULL,
	retries     BIGINT NOT NULL,
	size        BIGINT NOT NULL,
	implied     BIGINT NOT NULL, -- devices in it that have no assignment row yet
	created_by  TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	finished_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX deployment_seq ON deployment (seq);
CREATE INDEX deployment_status ON deployment (status, seq);
CREATE INDEX deployment_release ON deployment (release, seq);
CREATE INDEX deployment_implied ON deployment (id) WHERE implied > 0;

CREATE TABLE deployment_count (
	deployment TEXT NOT NULL REFERENCES deployment (id),
	state      TEXT NOT NULL,
	n          BIGINT NOT NULL,
	PRIMARY KEY (deployment, state)
);

CREATE TABLE assignment (
	deployment TEXT NOT NULL REFERENCES deployment (id),
	device     TEXT NOT NULL REFERENCES device (id),
	state      TEXT NOT NULL,
	detail     TEXT NOT NULL,
	artifact   TEXT NOT NULL,
	bytes      BIGINT NOT NULL,
	total      BIGINT NOT NULL,
	attempt    BIGINT NOT NULL,
	has_log    BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (deployment, device)
);
CREATE INDEX assignment_device ON assignment (device, deployment);
CREATE INDEX assignment_state ON assignment (deployment, state, device);

CREATE TABLE transition (
	seq        BIGINT PRIMARY KEY,
	deployment TEXT NOT NULL,
	device     TEXT NOT NULL,
	was        TEXT NOT NULL,
	state      TEXT NOT NULL,
	detail     TEXT NOT NULL,
	at         BIGINT NOT NULL
);
CREATE INDEX transition_assignment ON transition (deployment, device, seq);

CREATE TABLE device_log (
	deployment TEXT NOT NULL,
	device     TEXT NOT NULL,
	content    {{blob}} NOT NULL,
	at         BIGINT NOT NULL,
	PRIMARY KEY (deployment, device)
);

-- The outbox. A row is in the same transaction as what it tells of.
CREATE TABLE event (
	seq        BIGINT PRIMARY KEY,
	at         BIGINT NOT NULL,
	kind       TEXT NOT NULL,
	device     TEXT NOT NULL,
	deployment TEXT NOT NULL,
	state      TEXT NOT NULL,
	detail     TEXT NOT NULL
);

CREATE TABLE enrolment_token (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	hash       TEXT NOT NULL UNIQUE,
	uses       BIGINT NOT NULL,
	used       BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);

CREATE TABLE token (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	hash       TEXT NOT NULL UNIQUE,
	scopes     TEXT NOT NULL,
	expires_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);

CREATE TABLE secret (
	name  TEXT PRIMARY KEY,
	value {{blob}} NOT NULL
);

CREATE TABLE idempotency (
	key    TEXT PRIMARY KEY,
	hash   TEXT NOT NULL,
	status BIGINT NOT NULL, -- 0 while the request runs
	body   {{blob}} NOT NULL,
	at     BIGINT NOT NULL
);
CREATE INDEX idempotency_at ON idempotency (at);
