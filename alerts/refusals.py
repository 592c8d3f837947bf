"""What the archive refuses, in the words of archive/thresholds.py and archive/incidents.py: for the translators' tools."""

from alerts.words import N_

REFUSALS = (
    N_("There is no change number %(number)s."),
    N_("Set a warning level, a critical level, or both."),
    N_("Expected critical or both, not %(value)s."),
    N_("The critical level must not be above the warning level."),
    N_("The clear level must not be below the level at which it opens."),
    N_("The second condition must be on another metric."),
    N_("The second condition needs a level."),
    N_("The second condition is for a critical level, and there is none."),
    N_("%(value)s is not a number."),
    N_("%(value)s is out of range: expected %(low)s to %(high)s."),
    N_("There is no metric named %(value)s."),
    N_('Expected labels such as {"mount":"/"}, not %(value)s.'),
    N_("Expected a whole number of days from 1 to %(most)s, not %(value)s."),
    N_("The threshold of %(metric)s was changed again since: undo the newer change first."),
    N_("Expected a whole number of seconds from 0 to %(most)s, not %(value)s."),
    N_("The critical level must not be below the warning level."),
    N_("The clear level must not be above the level at which it opens."),
    N_("Say why, so that the others know."),
    N_("The reason has %(length)s characters; at most 500."),
    N_("The end must come after the start."),
    N_("Say when the work ends."),
    N_("The end has passed already."),
    N_("There is no planned work number %(number)s."),
    N_("Expected at least one day, and two different times such as 22:00 and 06:00."),
    N_("There is no incident number %(number)s."),
    N_("Incident %(number)s is over."),
)
