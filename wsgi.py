"""What gunicorn and `flask` load."""

import os
import sys

from app import create_app
from app.settings import SettingsError

try:
    app = create_app()
except SettingsError as error:
    sys.stderr.write(f"Switchyard cannot start. {error}\n")
    # gunicorn gives up on 3; a worker that ended with any other code it would start for ever.
    # A command that could not run says 2, as all of them do: cron goes by it.
    raise SystemExit(2 if os.environ.get("FLASK_RUN_FROM_CLI") else 3) from None
