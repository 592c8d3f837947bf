-- The core: hosts, metrics, series, samples, rollups, facts, events, settings.
-- Times are UTC seconds. A sample's value is an INTEGER: the number times metric.scale (archive/units.py).

CREATE TABLE host (
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE,        -- random, made at the first run: two machines of one name stay two
  name TEXT NOT NULL,
  machine TEXT NOT NULL,           -- a hash of the machine-id: tells a clone from a rename
  first_at INTEGER NOT NULL
) STRICT;

CREATE TABLE metric (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('gauge', 'counter', 'info')),
  unit TEXT NOT NULL,
  scale INTEGER NOT NULL,
  help TEXT NOT NULL,
  help_fr TEXT NOT NULL,
  probe TEXT NOT NULL,
  shipped TEXT NOT NULL            -- the probe's own threshold, as JSON; '' without one
) STRICT;

CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  host INTEGER NOT NULL,
  metric INTEGER NOT NULL,
  labels TEXT NOT NULL,            -- JSON object, keys sorted; {} without labels
  first_at INTEGER NOT NULL,
  UNIQUE (host, metric, labels)
) STRICT;

-- The newest minutes stand together, so a cycle writes one or two pages, not one a series.
CREATE TABLE sample (
  host INTEGER NOT NULL,
  at INTEGER NOT NULL,
  series INTEGER NOT NULL,
  value INTEGER NOT NULL,
  PRIMARY KEY (host, at, series)
) STRICT, WITHOUT ROWID;

-- Days past, one blob a series and day (archive/pack.py), every sample kept.
CREATE TABLE packed (
  host INTEGER NOT NULL,
  series INTEGER NOT NULL,
  day INTEGER NOT NULL,            -- UTC seconds of 00:00 UTC
  count INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (host, series, day)
) STRICT;

CREATE TABLE rollup (
  host INTEGER NOT NULL,
  series INTEGER NOT NULL,
  step INTEGER NOT NULL,           -- 300 or 3600 seconds
  at INTEGER NOT NULL,             -- start of the span
  least INTEGER NOT NULL,
  greatest INTEGER NOT NULL,
  sum INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (host, series, step, at)
) STRICT, WITHOUT ROWID;

-- One row a cycle that was loaded: what makes a second load of the same text change nothing.
CREATE TABLE cycle (
  host INTEGER NOT NULL,
  at INTEGER NOT NULL,
  boot TEXT NOT NULL,
  uptime REAL NOT NULL,
  lag INTEGER NOT NULL,            -- seconds from the cycle to its loading
  probes INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  PRIMARY KEY (host, at)
) STRICT, WITHOUT ROWID;

-- The last raw value of each counter, so that the next cycle can divide by the time between.
CREATE TABLE counter (
  host INTEGER PRIMARY KEY,
  boot TEXT NOT NULL,
  raw TEXT NOT NULL                -- JSON: {at, uptime, raw: {metric and labels: [raw value, uptime]}}
) STRICT;

-- What a probe said last: for the page of probes and for "silent since".
CREATE TABLE probe (
  host INTEGER NOT NULL,
  name TEXT NOT NULL,
  every INTEGER NOT NULL,          -- cycles
  state TEXT NOT NULL CHECK (state IN ('ok', 'failed', 'unavailable')),
  reason TEXT NOT NULL,
  seconds REAL NOT NULL,
  at INTEGER NOT NULL,             -- last run
  ok_at INTEGER,                   -- last good run
  rejected INTEGER NOT NULL,       -- samples dropped in the last run
  PRIMARY KEY (host, name)
) STRICT, WITHOUT ROWID;

-- Facts: who is logged in, which accounts exist. Kept with first and last seen, never as samples.
CREATE TABLE fact (
  host INTEGER NOT NULL,
  metric INTEGER NOT NULL,
  labels TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,        -- while gone_at is null, the probe's last good run counts
  gone_at INTEGER,
  PRIMARY KEY (host, metric, labels, first_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  host INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,              -- boot, login, account, package, backup, purge, restore, setting
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  UNIQUE (host, at, kind, subject)
) STRICT;

CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE backup (
  path TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  samples INTEGER NOT NULL,
  newest_at INTEGER,
  verified_at INTEGER,
  error TEXT NOT NULL
) STRICT, WITHOUT ROWID;
