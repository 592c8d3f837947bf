-- Who may log in, who is, and who tried. A database of its own: it neither waits for the archive's lock nor comes back
-- with a restore (a password changed since a backup must stay changed).

CREATE TABLE person (
  name TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('administrator', 'reader')),
  password TEXT NOT NULL,          -- Argon2id, as argon2-cffi writes it
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  id INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,       -- SHA-256 of the 256-bit id that the browser holds
  person TEXT NOT NULL REFERENCES person (name) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  address TEXT NOT NULL,
  agent TEXT NOT NULL
) STRICT;

-- Wrong passwords, counted by account, by address and by known browser: `who` is a hash, `seen` the last failure.
CREATE TABLE attempt (
  who TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
