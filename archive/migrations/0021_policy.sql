-- What a centre sets for its machines, and who mails. On a machine alone these tables stay empty. On a machine of a fleet,
-- what its centre set stands in `threshold` under host -1, below what is set on the machine itself (host 0).

-- At the centre: one row a threshold (of one metric and labels) or, where metric is '', who mails; for all machines, for
-- those with a tag, or for one.
CREATE TABLE policy (
  scope TEXT NOT NULL CHECK (scope IN ('all', 'tag', 'host')),
  name TEXT NOT NULL,              -- '', the tag, or the machine's name
  metric TEXT NOT NULL,
  labels TEXT NOT NULL,
  rule TEXT NOT NULL,              -- JSON of the threshold; or machine, centre, both
  updated_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL,
  PRIMARY KEY (scope, name, metric, labels)
) STRICT, WITHOUT ROWID;

-- At the centre: which version of that a machine says it follows; '' for none yet.
ALTER TABLE member ADD COLUMN policy TEXT NOT NULL DEFAULT '';

-- On a machine: who tells the transitions of a mail that it owes.
CREATE TABLE handed (
  notification INTEGER NOT NULL,
  transition INTEGER NOT NULL,
  teller TEXT NOT NULL CHECK (teller IN ('machine', 'centre', 'both')),
  settled_at INTEGER,              -- when the centre said that it tells it
  PRIMARY KEY (notification, transition)
) STRICT, WITHOUT ROWID;

-- At the centre: transitions of machines that it mails about.
CREATE TABLE member_tell (
  host INTEGER NOT NULL,
  transition INTEGER NOT NULL,     -- its number here
  incident INTEGER NOT NULL,
  begins INTEGER NOT NULL CHECK (begins IN (0, 1)),
  taken_at INTEGER NOT NULL,
  told_at INTEGER,                 -- when the mail was owed
  PRIMARY KEY (host, transition)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_tell_due ON member_tell (taken_at) WHERE told_at IS NULL;
