"""The skin of a graph that stands alone: in a mail, or opened at its own address. Light, one constant style sheet.

Pages use static/chart.css instead (same classes). The sheet never changes with the data, so one hash allows it:
`Content-Security-Policy: default-src 'none'; style-src '<STYLE_SOURCE>'; sandbox`.
Only class selectors: a renderer to PNG (resvg) knows little more.
"""

import base64
import hashlib

STYLE = """
text{font-family:"DejaVu Sans","Liberation Sans",Arial,sans-serif;font-size:12px;fill:#52606d}
.v-page{fill:#ffffff}
.v-heading{font-size:16px;font-weight:bold;fill:#16202b}
.v-note{font-size:12px;fill:#52606d}
.axis text{text-anchor:end}
.x text{text-anchor:middle}
.major{font-weight:bold;fill:#16202b}
.guide{fill:none;stroke:#e3e7ec;stroke-width:1px}
.base{fill:none;stroke:#8a96a3;stroke-width:1px}
.v-line{fill:none;stroke:#0b62b8;stroke-width:1.6px;stroke-linejoin:round;stroke-linecap:round}
.v-line-2{stroke:#b4560a}
.v-area{fill:#0b62b8;fill-opacity:0.12}
.v-envelope{fill:#0b62b8;fill-opacity:0.2}
.v-gap{fill:#56616d;fill-opacity:0.14}
.v-work{fill:#6b4fa0;fill-opacity:0.1}
.v-work-edge{fill:none;stroke:#6b4fa0;stroke-width:1px;stroke-dasharray:2 3}
.v-incident{fill:#b3201f;fill-opacity:0.12}
.v-incident-edge{fill:none;stroke:#b3201f;stroke-opacity:0.55;stroke-width:1px}
.v-warning-band{fill:#ffc53d;fill-opacity:0.22}
.v-warning-edge{fill:none;stroke:#8f5200;stroke-opacity:0.55;stroke-width:1px}
.v-level{fill:none;stroke:#b3201f;stroke-width:1.4px;stroke-dasharray:7 4}
.v-level-warning{stroke:#8f5200;stroke-dasharray:3 3}
.v-level-label{font-weight:bold;font-size:11px;fill:#b3201f}
.v-level-label-warning{fill:#8f5200}
.v-forecast{fill:none;stroke:#0b62b8;stroke-width:1.8px;stroke-dasharray:2 3}
.v-cone{fill:#0b62b8;fill-opacity:0.14}
.v-now{stroke:#52606d;stroke-width:1px}
.v-now-label{font-size:11px;fill:#52606d}
.v-event{stroke:#52606d;stroke-width:1px;fill:#52606d}
.v-bar{fill:#0b62b8}
.v-bar-2{fill:#b4560a}
.v-bar-track{fill:#eef1f4}
.v-bar-name{fill:#16202b}
.v-bar-value{fill:#16202b}
"""
STYLE_SOURCE = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src '{STYLE_SOURCE}'; sandbox"
