"""The parts of pygal that are used, and nothing of it left lying about.

pygal puts a finder for its maps among Python's own, of a kind that 3.11 warns of at every later import that fails.
"""

import sys

from pygal.graph.horizontalbar import HorizontalBar
from pygal.graph.xy import XY
from pygal.style import Style
from pygal.view import Margin, View

__all__ = ["XY", "HorizontalBar", "Margin", "Style", "View"]

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]
