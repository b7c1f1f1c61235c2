"""What gunicorn and `flask` load."""

import sys

from app import create_app
from app.settings import SettingsError

try:
    app = create_app()
except SettingsError as error:
    sys.stderr.write(f"Switchyard cannot start. {error}\n")
    # gunicorn gives up on 3; a worker that ended with any other code it would start for ever.
    raise SystemExit(3) from None
