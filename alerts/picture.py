"""A graph as a PNG, for mails: pygal's SVG drawn by resvg with the font that stands in static/fonts. No system font, no
system library, no browser."""

import os

from archive.settings import ROOT

FONTS = os.path.join(ROOT, "static", "fonts")
SCALE = 2  # for screens with fine pixels


def png(svg: str) -> bytes:
    """The picture; b'' where the renderer is missing or refuses: a mail leaves without it."""
    try:
        import resvg_py

        files = [os.path.join(FONTS, name) for name in sorted(os.listdir(FONTS)) if name.endswith(".ttf")]
        drawn = resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=SCALE,
            skip_system_fonts=True,
            font_files=files,
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
        )
    except (ImportError, OSError, ValueError, RuntimeError):
        return b""
    return bytes(drawn)
