-- Who is mailed, and what of it. Without a row with an address, VIGIE_MAIL_TO holds.
CREATE TABLE recipient (
  address TEXT PRIMARY KEY COLLATE NOCASE,  -- one address; or the name of an Apprise URL (apprise:ntfy:1f3a9c02)
  level TEXT NOT NULL CHECK (level IN ('warning', 'critical')),   -- the least that is mailed
  digest INTEGER NOT NULL CHECK (digest IN (0, 1)),
  language TEXT NOT NULL CHECK (language IN ('', 'fr', 'en')),    -- '': VIGIE_LANGUAGE
  updated_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The opt-in mail to a person who fills the disk or holds the processor: addresses that the rule does not give.
CREATE TABLE person_address (
  user TEXT PRIMARY KEY,
  address TEXT NOT NULL            -- '': never write to this person
) STRICT, WITHOUT ROWID;

-- When each person was last written to: at most once a day.
CREATE TABLE person_told (
  host INTEGER NOT NULL,
  user TEXT NOT NULL,
  at INTEGER NOT NULL,
  incident INTEGER NOT NULL,
  PRIMARY KEY (host, user)
) STRICT, WITHOUT ROWID;
