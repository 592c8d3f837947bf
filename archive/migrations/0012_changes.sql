-- One history of what people changed: thresholds, settings such as the retention, planned work. It takes the place of
-- threshold_change, whose rows it keeps with their numbers.

CREATE TABLE change (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('threshold', 'setting', 'window')),
  subject TEXT NOT NULL,           -- the metric, the setting's name, or the number of the planned work
  labels TEXT NOT NULL,            -- a threshold's; {} otherwise
  before TEXT NOT NULL,            -- what stood there: JSON of the row, a setting's value; '' when there was nothing
  after TEXT NOT NULL
) STRICT;

INSERT INTO change SELECT id, at, by, 'threshold', metric, labels, before, after FROM threshold_change;
DROP TABLE threshold_change;
