-- Tokens by which other programs read figures. Whoever copies this file can use none of them.

CREATE TABLE token (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,       -- what it is for, in the administrator's words
  hash TEXT NOT NULL UNIQUE,       -- SHA-256 of the 256-bit token
  made_at INTEGER NOT NULL,
  made_by TEXT NOT NULL,           -- the administrator; '' from the command line
  used_at INTEGER                  -- to the minute; NULL: never yet
) STRICT;
