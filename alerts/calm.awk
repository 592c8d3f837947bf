# Whether the newest cycle may wait to be archived. Status 0: it may; anything else: archive and judge now.
#
#   awk -f alerts/calm.awk FOLDER SPOOL_FILE
#
# FOLDER (data/run) holds `calm`, which the minute's step left behind while all was well (alerts/calm.py): the levels, and
# until when they hold. Here every line of the new text is held against them, in the same numbers as the judge's: a value
# that the judge would find beyond its level, or any other thing that is not as it was (a probe that failed, is missing,
# is new or says other levels, another boot, a jump of the clock, a number of another form), ends the waiting. In doubt
# it does not wait.
#
# FOLDER/raw is kept from cycle to cycle: the counters, for their rates, and what each probe says of its levels.

function wake(why) { if (reason == "") reason = why }

function read_raw(   line, f) {
  while ((getline line < raw) > 0) {
    split(line, f, "\t")
    if (f[1] == "c") { counter[f[2]] = f[3]; counted[f[2]] = f[4] }
    else if (f[1] == "s") said_before[f[2]] = f[3]
    else if (f[1] == "u") unusual_before[f[2]] = 1
    else if (f[1] == "at") { boot_before = f[2]; at_before = f[3] + 0; up_before = f[4] + 0 }
    else if (f[1] == "end") { close(raw); return 1 }
  }
  close(raw)
  split("", counter); split("", counted); split("", said_before)
  return 0
}
function read_calm(   line, f) {
  while ((getline line < calm) > 0) {
    split(line, f, "\t")
    if (f[1] == "calm") { judged = f[3] + 0; boot = f[4]; until = f[5] + 0 }
    else if (f[1] == "level") { watched[f[2]] = 1; if (f[3] == "above") above[f[2]] = f[4] + 0; else below[f[2]] = f[4] + 0 }
    else if (f[1] == "line") { exact[f[2]] = f[3]; bound[f[2]] = f[4] + 0 }
    else if (f[1] == "probe") deadline[f[2]] = f[3] + 0
    else if (f[1] == "end") { close(calm); return f[2] == "calm 1" }
  }
  close(calm)
  return 0
}

function begin_section(line) {
  end_section()
  probe = line; sub(/^# VIGIE probe=/, "", probe); sub(/ .*$/, "", probe)
  if (line !~ / status=ok /) wake(probe " failed")
  section_up = line
  if (!sub(/^.* uptime=/, "", section_up)) wake(probe " has no time")
  sub(/[^0-9.].*$/, "", section_up)
  present[probe] = 1
  if (!(probe in deadline)) wake(probe " is new")
}
function end_section(   i) {
  if (probe == "") return
  gsub(/\t/, " ", said)
  if (!(probe in said_before) || said_before[probe] != said) wake(probe " says other levels")
  said_before[probe] = said
  for (i = 1; i <= samples; i++) sample(waiting[i])
  if (samples > 2000) wake("too many lines")
  probe = said = ""; samples = 0
  split("", type); split("", seen)
}
function end_mark(line,   f, moved) {
  end_section()
  if (!match(line, / cycle=[0-9]+ boot=[^ ]* uptime=[0-9.]+$/)) { wake("no end mark"); return }
  split(substr(line, RSTART + 1), f, /[ =]/)
  at_text = f[2]; now_boot = f[4]; up_text = f[6]; at = at_text + 0; up = up_text + 0; ended = 1
  moved = at - at_before
  if (now_boot != boot) wake("another boot")
  if (moved <= 0 || moved > 90 || moved - (up - up_before) > 5 || (up - up_before) - moved > 5) wake("time is not as it was")
  if (int(at / 300) != int(judged / 300)) wake("five minutes")
  if (at >= until || at < judged) wake("something is due")
}
function sample(line,   key, name, value, text, was, elapsed) {
  # What archive/text.py would refuse, or read in another way, is left to it.
  if (line !~ /^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\.)*",?)*\})? -?[0-9]+(\.[0-9]+)?$/ || length(line) > 4000) {
    wake(probe " prints a line of another form")
    return
  }
  match(line, /^[a-zA-Z0-9_:]+/)
  name = substr(line, 1, RLENGTH)
  match(line, / [^ ]+$/)
  key = substr(line, 1, RSTART - 1); text = substr(line, RSTART + 1); value = text + 0
  if (key in seen) wake(key " stands twice")
  seen[key] = 1
  if (key ~ /[^ -~]/) {
    if (!(key in unusual_before)) wake(key " is new")
    unusual[key] = 1
  }
  if (name ~ /_info$/) return
  if (type[name] == "counter") {
    # As archive/loading.py: a counter that went down, or was not read before, gives no rate.
    if (key in counter) { was = counter[key] + 0; elapsed = section_up - counted[key] } else if (name in watched) wake(key " is new")
    counter[key] = text; counted[key] = section_up
    if (elapsed <= 0 || value < was || !(name in watched)) return
    value = (value - was) / elapsed
  }
  if (!(name in watched)) return
  if (key in exact) {
    if ((exact[key] == "above" && value >= bound[key]) || (exact[key] == "below" && value <= bound[key])) wake(key)
    return
  }
  if ((name in above) && value >= above[name]) wake(key)
  if ((name in below) && value <= below[name]) wake(key)
}

function keep(   i, known) {
  printf "at\t%s\t%s\t%s\n", now_boot, at_text, up_text > raw
  for (i in said_before) print "s\t" i "\t" said_before[i] > raw
  # A probe that is not due at every cycle says its names again when it is.
  for (i in unusual) known++
  for (i in unusual_before) if (!(i in unusual) && known++ < 500) unusual[i] = 1
  for (i in unusual) print "u\t" i > raw
  for (i in counter) if (up - counted[i] < 691200 && counted[i] + 0 <= up + 60) print "c\t" i "\t" counter[i] "\t" counted[i] > raw
  print "end" > raw
  close(raw)
}

BEGIN {
  calm = ARGV[1] "/calm"; raw = ARGV[1] "/raw"; spool = ARGV[2]
  if (!read_raw()) wake("no raw values")
  if (!read_calm()) wake("not calm")
  while ((getline line < spool) > 0) {
    if (line ~ /^#/) {
      if (line ~ /^# VIGIE probe=/) begin_section(line)
      else if (line ~ /^# VIGIE lines=/) end_mark(line)
      else {
        said = said line "|"
        if (line ~ /^# TYPE [^ ]+ counter *$/) { split(line, word, " "); type[word[3]] = "counter" }
      }
    } else if (line != "") waiting[++samples] = line
  }
  if (!ended) wake("no end mark")
  else {
    for (name in deadline) if (!(name in present) && at >= deadline[name]) wake(name " is missing")
    if (now_boot != boot_before || up < up_before) wake("another boot")
    keep()
  }
  if (ENVIRON["CALM_WHY"] != "") print reason > "/dev/stderr"
  exit reason != ""
}
