"""For Apache's mod_wsgi and other WSGI servers: `application`. Nothing is open without log-in here (web/access.py)."""

from archive import rights, settings
from web import create_app

config = settings.load()
rights.take(config.data)
application = create_app(config, wsgi=True)
