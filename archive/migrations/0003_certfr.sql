-- CERT-FR: its publications, what changed in them, how the site was read; then the machine's packages and the verdicts.
-- Times are UTC seconds. A day that the site names (first_at, last_at, closed_at, listed_at) is 00:00 UTC of that day; it is
-- null when the site gave none or an impossible one (1970, 2099): "date unknown", never a row kept or thrown away for it.

-- One row a reference, for ever: nothing here is deleted, a withdrawn publication neither.
CREATE TABLE advisory (
  id INTEGER PRIMARY KEY,
  reference TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('alerte', 'avis')),
  title TEXT NOT NULL,             -- '' while only a list without titles named it
  status TEXT NOT NULL CHECK (status IN ('open', 'closed', 'unknown')),  -- alerts; an 'avis' has none: 'unknown'
  first_at INTEGER,
  last_at INTEGER,                 -- newest revision
  closed_at INTEGER,
  withdrawn_at INTEGER,            -- when the site was seen to serve it no more
  url TEXT NOT NULL,
  origin TEXT CHECK (origin IN ('json', 'page', 'file')),
  digest TEXT NOT NULL,            -- SHA-256 of the canonical text; '' while not read
  revision INTEGER NOT NULL,       -- how many texts were seen: 0 not read, 1 the first, ...
  announced INTEGER NOT NULL,      -- the last revision that was told; owed while revision > announced
  backlog INTEGER NOT NULL CHECK (backlog IN (0, 1)),  -- 1: it was there before the first complete reading
  seen_at INTEGER NOT NULL,        -- when a list first named it
  read_at INTEGER,                 -- last good reading of its own text
  listed_at INTEGER,               -- day of its last revision, by the site's list
  read_listed_at INTEGER,          -- that day, when it was last read
  unlisted_at INTEGER,             -- since when the complete list names it no more
  again INTEGER NOT NULL CHECK (again IN (0, 1)),      -- 1: a list said something that asks for a new reading
  tries INTEGER NOT NULL,          -- failures in a row
  retry_at INTEGER,
  problem TEXT NOT NULL,           -- the last failure in words, '' when it was read
  summary TEXT NOT NULL,           -- Markdown and HTML, hostile: archive/certfr/safe.py before it is shown
  body TEXT                        -- the JSON as it was served; null while not read. Last: the columns before it cost no page more
) STRICT;
CREATE INDEX advisory_status ON advisory (kind, status);
CREATE INDEX advisory_last ON advisory (last_at);

-- The texts before the present one. `changed` holds what the next one changed.
CREATE TABLE advisory_revision (
  advisory INTEGER NOT NULL REFERENCES advisory (id),
  revision INTEGER NOT NULL,
  replaced_at INTEGER NOT NULL,
  title TEXT NOT NULL,
  status TEXT NOT NULL,
  last_at INTEGER,
  closed_at INTEGER,
  digest TEXT NOT NULL,
  canonical TEXT NOT NULL,         -- JSON, lists sorted (archive/certfr/publication.py)
  changed TEXT NOT NULL,           -- JSON list of field names
  PRIMARY KEY (advisory, revision)
) STRICT;

-- How each source of the site was read; the row 'round' is the whole hourly round.
CREATE TABLE reading (
  source TEXT PRIMARY KEY,         -- round, alerte/json, avis/json, alerte/feed, avis/feed, alerte/list, avis/list
  url TEXT NOT NULL,               -- validators are good for this address only
  etag TEXT NOT NULL,
  last_modified TEXT NOT NULL,
  digest TEXT NOT NULL,            -- SHA-256 of the last good body: the same text is not parsed again
  listed INTEGER NOT NULL,         -- entries in the last good list
  read_at INTEGER,                 -- last attempt
  ok_at INTEGER,                   -- last good one
  first_ok_at INTEGER,
  error TEXT NOT NULL,             -- of the last attempt, '' when it was good
  next_at INTEGER,
  backoff INTEGER NOT NULL,        -- seconds; 0 after a good one
  wait_until INTEGER,              -- the site asked not to be asked before
  claimed_at INTEGER,              -- a round is at work since; null when none is
  done INTEGER NOT NULL,           -- progress of the round: publications read
  total INTEGER NOT NULL           -- of so many that were owed when it began
) STRICT;

-- What is installed, with first and last seen: a version that goes leaves gone_at, and never comes back to life.
CREATE TABLE package (
  host INTEGER NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  arch TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  source TEXT NOT NULL,
  source_version TEXT NOT NULL,
  origin TEXT NOT NULL,            -- the distribution, or the third party; '' unknown
  last_at INTEGER NOT NULL,
  gone_at INTEGER,
  PRIMARY KEY (host, name, version, arch, first_at)
) STRICT;
CREATE INDEX package_source ON package (host, source);

CREATE TABLE verdict (
  host INTEGER NOT NULL,
  advisory INTEGER NOT NULL REFERENCES advisory (id),
  verdict TEXT NOT NULL CHECK (verdict IN ('affected', 'to_check', 'not_affected')),
  package TEXT NOT NULL,           -- '' when none is concerned
  installed TEXT NOT NULL,         -- its version
  reason TEXT NOT NULL,            -- JSON
  evidence TEXT NOT NULL,
  decided_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,       -- advisory.revision it was decided on
  dismissed_at INTEGER,            -- "not for me": good until the next revision
  dismissed_reason TEXT NOT NULL,
  offered TEXT NOT NULL,           -- the newer version that the repositories offer, '' for none
  fixed_at INTEGER,                -- when an upgrade here ended it; null while it does not apply
  PRIMARY KEY (host, advisory)
) STRICT;
CREATE INDEX verdict_advisory ON verdict (advisory);
