-- The event store, on H2 and on PostgreSQL.
--
-- Authoritative: clock, timeline, stream, page, segment. Derived, and may be emptied at any time: checkpoint, summary,
-- summary_lane, token_entry, snapshot.

-- One row. Whoever appends holds it to the end of the transaction, so that numbers become visible in their order.
CREATE TABLE clock (
  id SMALLINT PRIMARY KEY,
  next_event BIGINT NOT NULL,
  next_id BIGINT NOT NULL
);
INSERT INTO clock (id, next_event, next_id) VALUES (1, 0, 1);

-- A fork shares the moments of its parent before fork_moment.
CREATE TABLE timeline (
  id BIGINT PRIMARY KEY,
  name VARCHAR(255) NOT NULL UNIQUE,
  parent BIGINT NOT NULL,
  fork_moment INT NOT NULL,
  next_moment INT NOT NULL,
  seal BYTEA NOT NULL
);

-- The head of a lane: the next sequence number, and the running hash of everything before it.
CREATE TABLE stream (
  id BIGINT PRIMARY KEY,
  timeline BIGINT NOT NULL,
  lane VARCHAR(255) NOT NULL,
  base BIGINT NOT NULL,
  next_seq BIGINT NOT NULL,
  hash BYTEA NOT NULL,
  seal BYTEA NOT NULL,
  UNIQUE (timeline, lane)
);

-- A stretch of a timeline's total order over all of its lanes.
CREATE TABLE page (
  first_event BIGINT PRIMARY KEY,
  events INT NOT NULL,
  timeline BIGINT NOT NULL,
  first_moment INT NOT NULL,
  next_moment INT NOT NULL,
  min_seq BIGINT NOT NULL,
  max_seq BIGINT NOT NULL,
  UNIQUE (timeline, first_moment)
);

-- A run of consecutive events of one stream; a long one in several pieces.
CREATE TABLE segment (
  stream BIGINT NOT NULL,
  first_seq BIGINT NOT NULL,
  piece SMALLINT NOT NULL,
  events INT NOT NULL,
  page BIGINT NOT NULL,
  payload BYTEA NOT NULL,
  hash BYTEA NOT NULL,
  PRIMARY KEY (stream, first_seq, piece)
);
CREATE INDEX segment_page ON segment (page, stream, first_seq, piece);

CREATE TABLE checkpoint (
  timeline BIGINT NOT NULL,
  first_moment INT NOT NULL,
  stamp VARCHAR(64) NOT NULL,
  state BYTEA,
  calls BYTEA NOT NULL,
  PRIMARY KEY (timeline, first_moment)
);

CREATE TABLE summary (
  timeline BIGINT PRIMARY KEY,
  events BIGINT NOT NULL,
  first_ns BIGINT NOT NULL,
  last_ns BIGINT NOT NULL,
  synthesized BIGINT NOT NULL,
  divergences BIGINT NOT NULL
);

CREATE TABLE summary_lane (
  timeline BIGINT NOT NULL,
  lane VARCHAR(255) NOT NULL,
  PRIMARY KEY (timeline, lane)
);

CREATE TABLE token_entry (
  processor_name VARCHAR(255) NOT NULL,
  segment INT NOT NULL,
  token BYTEA,
  token_type VARCHAR(255),
  timestamp VARCHAR(255),
  owner VARCHAR(255),
  PRIMARY KEY (processor_name, segment)
);

CREATE TABLE snapshot (
  aggregate VARCHAR(512) PRIMARY KEY,
  sequence_number BIGINT NOT NULL,
  stamp VARCHAR(64) NOT NULL,
  payload BYTEA NOT NULL
);
