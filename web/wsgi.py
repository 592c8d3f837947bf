"""For Apache's mod_wsgi and other WSGI servers: `application`. Nothing is open without log-in here (web/access.py)."""

from archive import settings
from web import create_app

application = create_app(settings.load(), wsgi=True)
