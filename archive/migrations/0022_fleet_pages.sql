-- What the centre's pages across machines ask for: users, and which publications concern which machine. On a machine alone
-- these tables stay empty.

-- Who uses what on which machine, as it last said it; written at most every five minutes a machine (archive/fleet/people.py).
CREATE TABLE member_user (
  host INTEGER NOT NULL,
  name TEXT NOT NULL,
  cpu REAL,                        -- cores; null: not measured
  memory REAL,                     -- bytes
  processes REAL,
  home REAL,                       -- bytes; measured about once an hour
  home_at INTEGER,                 -- by the machine's clock
  sessions INTEGER NOT NULL,       -- log-ins open now
  at INTEGER NOT NULL,             -- of the cycle, by the machine's clock
  heard_at INTEGER NOT NULL,       -- by the centre's
  PRIMARY KEY (host, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_user_name ON member_user (name);

-- What a machine is, beside its packages: what a publication is decided against.
CREATE TABLE member_system (
  host INTEGER PRIMARY KEY,
  system TEXT NOT NULL,            -- ID of os-release
  family TEXT NOT NULL,            -- ID_LIKE
  version_id TEXT NOT NULL,
  codename TEXT NOT NULL,
  title TEXT NOT NULL,
  running TEXT NOT NULL,           -- release of the running kernel
  known_at INTEGER NOT NULL,       -- the machine's last good reading of CERT-FR with nothing left undecided, its clock; 0: none
  changed_at INTEGER NOT NULL      -- when the above or its packages last changed, by the centre's clock
) STRICT;

-- What the centre decided itself, from a machine's packages, without its changelogs. It stands in for the machine's own word
-- until the machine has had its say (fleet_verdict). Only what concerns it, is to check, or did and was corrected.
CREATE TABLE member_verdict (
  host INTEGER NOT NULL,
  advisory INTEGER NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('affected', 'to_check', 'not_affected')),
  package TEXT NOT NULL,
  installed TEXT NOT NULL,
  reason TEXT NOT NULL,
  evidence TEXT NOT NULL,
  decided_at INTEGER NOT NULL,
  fixed_at INTEGER,
  PRIMARY KEY (host, advisory)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_verdict_advisory ON member_verdict (advisory);

-- Which publications the centre has decided, at which revision.
CREATE TABLE member_decided (
  advisory INTEGER PRIMARY KEY,
  revision INTEGER NOT NULL,
  since_at INTEGER NOT NULL,       -- when this revision was first decided here
  decided_at INTEGER NOT NULL,     -- inventories that changed since are decided again
  machines INTEGER NOT NULL        -- how many were decided
) STRICT;

-- One verdict a machine and publication: the machine's own, else the centre's.
CREATE VIEW fleet_verdict AS
SELECT v.host, v.advisory, v.verdict, v.package, v.installed, v.reason, v.evidence, v.decided_at, v.dismissed_at, v.fixed_at,
  v.offered, 0 AS here
FROM verdict v
UNION ALL
SELECT c.host, c.advisory, c.verdict, c.package, c.installed, c.reason, c.evidence, c.decided_at, NULL, c.fixed_at, '', 1
FROM member_verdict c
JOIN member_decided d ON d.advisory = c.advisory
JOIN member m ON m.host = c.host
LEFT JOIN member_system s ON s.host = c.host
WHERE coalesce(s.known_at, 0) - m.skew < d.since_at
  AND NOT EXISTS (SELECT 1 FROM verdict o WHERE o.host = c.host AND o.advisory = c.advisory);

-- Of all machines, those that have a package: by its name, or by its source's (nothing asks for a source of one host).
CREATE INDEX package_name ON package (name, host) WHERE gone_at IS NULL;
DROP INDEX package_source;
CREATE INDEX package_source ON package (source, name) WHERE gone_at IS NULL;
