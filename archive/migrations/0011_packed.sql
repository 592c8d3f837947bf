-- Rollups and cycles of days past, packed (archive/rolled.py, archive/past.py): a year of rows of them took as much room
-- as the samples themselves.

-- A stretch of rollups of one series: 5-minute ones of one UTC day, hours of 16 days. What stands here is not in `rollup`.
CREATE TABLE rolled (
  host INTEGER NOT NULL,
  series INTEGER NOT NULL,
  step INTEGER NOT NULL,           -- 300 or 3600 seconds
  at INTEGER NOT NULL,             -- start of the stretch
  count INTEGER NOT NULL,          -- spans in it
  data BLOB NOT NULL,
  PRIMARY KEY (host, series, step, at)
) STRICT;

-- The cycles of one UTC day and boot. What stands here is not in `cycle`.
CREATE TABLE packed_cycle (
  host INTEGER NOT NULL,
  day INTEGER NOT NULL,            -- UTC seconds of 00:00 UTC
  boot TEXT NOT NULL,
  count INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (host, day, boot)
) STRICT;

-- Sixteen days of one series in one blob (archive/pack.py): a blob of a day leaves a quarter of its page empty. A sample may
-- stand here and, after a text came late, in `packed` too; it is the same.
CREATE TABLE packed_long (
  host INTEGER NOT NULL,
  series INTEGER NOT NULL,
  at INTEGER NOT NULL,             -- start of the stretch
  count INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (host, series, at)
) STRICT;

-- A graph shows its line's incidents, and the judge asks for its last one.
CREATE INDEX incident_line ON incident (host, metric, labels);
