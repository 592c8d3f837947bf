-- Several machines: who sends here, under which token, and what the list of machines shows of each. On a machine alone
-- these tables stay empty.

CREATE TABLE member (
  host INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,       -- as the administrator called it; its address is /hosts/NAME/
  token TEXT NOT NULL UNIQUE,      -- SHA-256 of the 256-bit token
  made_at INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  joined_at INTEGER,               -- when a machine first showed the token: from then on it is that machine's alone
  revoked_at INTEGER,
  retired_at INTEGER,
  tags TEXT NOT NULL,              -- words, each between spaces: ' web paris '
  version TEXT NOT NULL,           -- of the machine's Vigie
  seen_at INTEGER,                 -- its last parcel, by the centre's clock
  fresh_at INTEGER,                -- the last parcel with a new cycle, by the centre's clock
  cycle_at INTEGER,                -- the newest cycle, by the machine's clock
  every INTEGER NOT NULL,          -- seconds between its cycles, as measured here
  boot TEXT NOT NULL,
  boot_before TEXT NOT NULL,       -- where the older of two boots comes again, two machines send as one
  skew INTEGER NOT NULL,           -- its clock less the centre's, in seconds
  waiting INTEGER NOT NULL,        -- texts that it has yet to send
  refused INTEGER NOT NULL,        -- texts that were not taken
  refusal TEXT NOT NULL,           -- why, the last time
  doubt TEXT NOT NULL,             -- '' or what is odd about who this is: two_boots
  doubt_at INTEGER,
  budget REAL NOT NULL,            -- samples that it may send now
  budget_at INTEGER NOT NULL,
  worst INTEGER NOT NULL,          -- of its open incidents: 0 none, 1 warning, 2 critical
  opened INTEGER NOT NULL,         -- how many are open
  silent_at INTEGER                -- since when it is silent, by the centre's clock
) STRICT;

-- What the list of machines draws, apart from what it is sorted by: ten thousand rows are looked through for fifty.
CREATE TABLE member_figures (
  host INTEGER PRIMARY KEY,
  figures TEXT NOT NULL            -- JSON: {metric: [value, ...]}, the last hour of the few that are drawn
) STRICT;
CREATE INDEX member_worst ON member (worst, opened);
CREATE INDEX host_machine ON host (machine);
CREATE INDEX host_name ON host (name);

-- What became of the mails that a machine itself sends. They are not the centre's to send.
CREATE TABLE member_mail (
  host INTEGER NOT NULL,
  mail INTEGER NOT NULL,           -- its number there
  recipient TEXT NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'accepted', 'refused', 'held', 'dropped')),
  done_at INTEGER,
  server TEXT NOT NULL,
  reply TEXT NOT NULL,
  PRIMARY KEY (host, mail, recipient)
) STRICT, WITHOUT ROWID;
