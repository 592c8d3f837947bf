"""What to do: one short paragraph a metric, for the mail and for the incident's page. English msgids."""

from alerts.words import N_, Words

_BY_METRIC = {
    "disk_used_ratio": N_(
        "Look first at what grew. Usual room: old logs (journalctl --vacuum-size=500M), package caches"
        " (apt clean, dnf clean all), old images (docker system prune), large files in homes (du -xh --max-depth=2 | sort -h)."
        " A file that was deleted but is still open frees nothing until its program is restarted (lsof +L1)."
    ),
    "disk_inodes_used_ratio": N_(
        "The disk has room but can hold no more files: somewhere there are millions of small ones. Usual places: mail"
        " queues, PHP sessions, caches. Count them with: du --inodes -x --max-depth=3 / | sort -n | tail."
    ),
    "cpu_busy_seconds_total": N_(
        "Look first at who uses the processor. If it is meant, let it finish or lower its priority (renice 19 -p PID); if a"
        " program runs in circles, talk to its owner before you stop it. Steady work harms nobody as long as"
        " pressure stays low."
    ),
    "user_cpu_seconds_total": N_(
        "One person's programs have kept a core busy for hours. Ask the owner whether it is meant; renice 19 -p PID leaves"
        " the others their share meanwhile, and systemctl set-property user-UID.slice CPUQuota=... limits it for good."
    ),
    "memory_available_ratio": N_(
        "When nothing is left the kernel ends the largest process, which is rarely the guilty one. Restart or limit"
        " what grew (systemctl set-property UNIT MemoryMax=4G), or ask its owner to. Swap only buys time."
    ),
    "user_memory_ratio": N_(
        "One person's programs hold more than half of the memory. Ask the owner whether all of them are still needed:"
        " sessions left open and notebooks are the usual ones."
    ),
    "swap_used_ratio": N_(
        "Memory is short and the machine works from the disk, hence the slowness. Find what grew in memory; swap empties"
        " by itself once there is room again."
    ),
    "pressure_waiting_seconds_total": N_(
        "Tasks wait for the processor, the memory or the disk instead of working. Look at who asks for most of it."
        " A backup or an update explains many such hours; otherwise spread the work, or limit one of them."
    ),
    "load_average": N_(
        "Many tasks run or wait for the disk. Compare with the processor and the pressure: a high load alone harms nobody."
    ),
    "user_home_bytes": N_(
        "This home directory is over its share. Its owner can see what is large with: du -xh --max-depth=2 ~ | sort -h | tail."
    ),
    "filesystem_readonly": N_(
        "The kernel has stopped writing to this file system, mostly after an error of the disk. Save what matters, read"
        " dmesg and smartctl -a, then check it unmounted (fsck) before it is written to again."
    ),
    "units_failed": N_(
        "A service has failed. systemctl --failed names it, journalctl -u NAME -n 50 says why, systemctl restart NAME"
        " tries again."
    ),
    "oom_kills_total": N_(
        "The kernel ended a process because no memory was left. journalctl -k | grep -i 'out of memory' names it; check"
        " that the service runs again, then give it a limit or the machine more memory."
    ),
    "raid_degraded": N_(
        "A disk of the array is missing: one more failure loses the data. Check the backup today, then replace it"
        " (cat /proc/mdstat, mdadm --detail; zpool status)."
    ),
    "disk_health_failing": N_(
        "The disk itself announces that it will fail. Check the backup now and replace it: smartctl -a says which one."
    ),
    "temperature_celsius": N_(
        "Something is too hot: look at fans, dust, the room's cooling, and at what keeps the processor busy."
    ),
    "clock_synchronised": N_(
        "The clock runs free: logs, certificates and log-ins go wrong with it. timedatectl and chronyc sources (or"
        " systemctl status systemd-timesyncd) say why."
    ),
    "updates_security_pending": N_(
        "Security updates wait. Install them (apt upgrade, dnf upgrade --security) and restart what asks for it."
    ),
    "reboot_required": N_("An update takes effect only after a restart: plan one when nobody works."),
    "uptime_seconds": N_("The machine started again. The timeline shows what came before."),
}
_SILENT_MACHINE = N_(
    "Vigie ran no cycle in that time: the machine was off, asleep or overloaded, or cron stood still. Compare with the"
    " last boots (last -x reboot) and with journalctl for those minutes."
)
_SILENT_PROBE = N_(
    "This probe fails, so what it measures is not known. Run it by hand to see why, from the folder of Vigie:"
    " probes/NAME. ./vigie doctor checks the usual causes."
)
_FORECAST = N_(
    "There is still time: delete or move what is not needed, or give the disk more room, before programs fail to write."
)
_ADVISORY = N_("Read the publication of CERT-FR, and update the packages that it names.")
_OTHER = N_("Look at the graph and at what was running; ./vigie status shows the machine as it is now.")


def advice(kind: str, metric: str, words: Words) -> str:
    """One paragraph in the reader's language. `kind` is the incident's."""
    if kind == "silent":
        return words.gettext(_SILENT_PROBE).replace("NAME", metric) if metric else words.gettext(_SILENT_MACHINE)
    if kind == "forecast":
        return words.gettext(_FORECAST)
    if kind == "advisory":
        return words.gettext(_ADVISORY)
    return words.gettext(_BY_METRIC.get(metric, _OTHER))
