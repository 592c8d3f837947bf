"""A list sent as a file while it is read.

The view is over, and its connection closed, before the first row is sent: what is read for a row must be asked for
within the generator, which gets a connection of its own (web/store.py) that ends with the answer.
"""

from collections.abc import Iterator

from flask import Response, stream_with_context

from web import exports


def sent(rows: Iterator[str], kind: str, name: str, ending: str) -> Response:
    """Sent as it is read. A table is kept as a file; JSON a browser may show."""
    answer = Response(stream_with_context(rows), content_type=kind)
    how = "attachment" if kind == exports.CSV else "inline"
    answer.headers["Content-Disposition"] = f'{how}; filename="{name}.{ending}"'
    return answer
