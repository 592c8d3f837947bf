"""A browser by the few words that a person knows it by. Pure; what cannot be told is shown as it was sent."""

import re

from web.words import _

# (pattern, name): the more particular first, as most of them also call themselves Chrome, Safari and Mozilla.
BROWSERS = (
    (r"Edg(?:e|A|iOS)?/(\d+)", "Edge"), (r"OPR/(\d+)", "Opera"), (r"SamsungBrowser/(\d+)", "Samsung Internet"),
    (r"(?:Firefox|FxiOS)/(\d+)", "Firefox"), (r"(?:Headless)?(?:Chrome|CriOS)/(\d+)", "Chrome"),
    (r"Version/(\d+)[.\d]* (?:Mobile/\S+ )?Safari/", "Safari"),
)  # fmt: skip
SYSTEMS = (
    (r"iPhone", "iPhone"), (r"iPad", "iPad"), (r"Android", "Android"), (r"CrOS", "ChromeOS"), (r"Windows", "Windows"),
    (r"Macintosh|Mac OS X", "macOS"), (r"Linux|X11", "Linux"),
)  # fmt: skip


def name(agent: str) -> str:
    """« Firefox 145 sur Linux » of a User-Agent line, or its first 60 characters."""
    if not agent:
        return _("unnamed browser")
    browser = next((f"{told} {found[1]}" for pattern, told in BROWSERS if (found := re.search(pattern, agent))), "")
    system = next((told for pattern, told in SYSTEMS if re.search(pattern, agent)), "")
    if browser and system:
        return _("%(browser)s on %(system)s", browser=browser, system=system)
    return browser or (agent if len(agent) <= 60 else f"{agent[:59]}…")
