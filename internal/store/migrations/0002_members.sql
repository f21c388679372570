-- Devices that enrolled for sessions. id is the beginning of the fingerprint.
CREATE TABLE member (
	id          TEXT PRIMARY KEY,
	device      TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	suite       BIGINT NOT NULL,
	session_key {{blob}} NOT NULL,
	counter     BIGINT NOT NULL,
	gateway     TEXT NOT NULL, -- the member in front of it
	serves      BIGINT NOT NULL, -- 1: is a gateway itself
	at          BIGINT NOT NULL,
	FOREIGN KEY (device, fingerprint) REFERENCES device_key (device, fingerprint) ON DELETE CASCADE
);
CREATE INDEX member_gateway ON member (gateway, id) WHERE gateway <> '';
CREATE INDEX member_device ON member (device, fingerprint);
