-- Thresholds, incidents, what was running, and the mails owed.

-- What the administrator set; a probe's shipped threshold stands in metric.shipped and is used where no row here has
-- the same metric and labels. Levels are in the metric's own unit (0.9 for 90 %).
CREATE TABLE threshold (
  id INTEGER PRIMARY KEY,
  host INTEGER NOT NULL,           -- 0: every host
  metric TEXT NOT NULL,
  labels TEXT NOT NULL,            -- JSON object that a series' labels must contain; {} for all; the most precise wins
  above INTEGER NOT NULL CHECK (above IN (0, 1)),
  warning REAL,
  critical REAL,
  clear REAL,                      -- null: the warning (else critical) level itself
  for_seconds INTEGER NOT NULL CHECK (for_seconds >= 0),
  clear_seconds INTEGER NOT NULL CHECK (clear_seconds >= 0),
  second_metric TEXT NOT NULL,     -- '' without one
  second_above INTEGER NOT NULL CHECK (second_above IN (0, 1)),
  second_level REAL,
  second_for TEXT NOT NULL CHECK (second_for IN ('critical', 'both')),
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  updated_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL,
  UNIQUE (host, metric, labels)
) STRICT;

CREATE TABLE threshold_change (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  metric TEXT NOT NULL,
  labels TEXT NOT NULL,
  before TEXT NOT NULL,            -- JSON of the row, '' when there was none
  after TEXT NOT NULL
) STRICT;

CREATE TABLE incident (
  id INTEGER PRIMARY KEY,
  host INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('threshold', 'silent', 'forecast', 'advisory')),
  metric TEXT NOT NULL,            -- for 'silent': the probe's name, or '' for the machine
  labels TEXT NOT NULL,
  series INTEGER,
  state TEXT NOT NULL CHECK (state IN ('pending', 'open', 'eased', 'resolved')),
  level TEXT NOT NULL CHECK (level IN ('warning', 'critical')),
  since_at INTEGER NOT NULL,       -- first sample beyond the level
  critical_since_at INTEGER,       -- first sample of the present run beyond the critical level
  opened_at INTEGER,
  eased_at INTEGER,                -- first sample of the present run on the clear side
  ended_at INTEGER,
  end_reason TEXT NOT NULL,        -- '', cleared, gone, disabled
  last_at INTEGER NOT NULL,        -- last sample judged: judging it twice changes nothing
  last_value REAL NOT NULL,
  peak REAL NOT NULL,
  peak_at INTEGER NOT NULL,
  flaps INTEGER NOT NULL,          -- how often it came back while eased
  cause INTEGER,                   -- the open incident that holds this one back
  threshold TEXT NOT NULL,         -- JSON of the threshold as it was at opening
  reminded_at INTEGER,
  acknowledged_at INTEGER,
  acknowledged_by TEXT NOT NULL,
  acknowledged_reason TEXT NOT NULL
) STRICT;

-- One incident a line at a time: what keeps "never two opens without an end between" true whatever the code does.
CREATE UNIQUE INDEX incident_live ON incident (host, kind, metric, labels) WHERE state <> 'resolved';
CREATE INDEX incident_opened ON incident (host, opened_at);

CREATE TABLE transition (
  id INTEGER PRIMARY KEY,
  incident INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN
    ('opened', 'escalated', 'lowered', 'eased', 'returned', 'resolved', 'gone', 'acknowledged', 'postponed', 'reminded')),
  level TEXT NOT NULL,
  value REAL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX transition_incident ON transition (incident, at);

CREATE TABLE evidence (
  id INTEGER PRIMARY KEY,
  incident INTEGER NOT NULL,
  at INTEGER NOT NULL,
  moment TEXT NOT NULL,            -- pending, opened
  body TEXT NOT NULL               -- JSON (alerts/evidence.py)
) STRICT;
CREATE INDEX evidence_incident ON evidence (incident);

-- A mail owed. It leaves only when every recipient's server has said its last word.
CREATE TABLE notification (
  id INTEGER PRIMARY KEY,
  host INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,              -- incident, digest, test, advisory, summary
  thread TEXT NOT NULL,            -- Message-ID of the thread's first mail
  message_id TEXT NOT NULL UNIQUE,
  subject TEXT NOT NULL,
  body TEXT NOT NULL               -- JSON: what the mail is made of when it leaves
) STRICT;

-- The transitions that a mail tells.
CREATE TABLE told (
  notification INTEGER NOT NULL,
  transition INTEGER NOT NULL,
  incident INTEGER NOT NULL,
  PRIMARY KEY (notification, transition)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_incident ON told (incident);

CREATE TABLE delivery (
  notification INTEGER NOT NULL,
  recipient TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'accepted', 'refused', 'held', 'dropped')),
  tries INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  done_at INTEGER,
  server TEXT NOT NULL,
  reply TEXT NOT NULL,             -- the server's own words
  PRIMARY KEY (notification, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (state, next_at);

CREATE TABLE silence (
  id INTEGER PRIMARY KEY,
  host INTEGER NOT NULL,
  metric TEXT NOT NULL,            -- '' for all
  labels TEXT NOT NULL,
  from_at INTEGER NOT NULL,
  to_at INTEGER NOT NULL,
  weekly TEXT NOT NULL,            -- JSON {days, from, to} for a weekly window, '' for one with dates
  reason TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  ended_at INTEGER
) STRICT;
