"""The extensions, unbound: create_app binds them."""

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate
from flask_security import Security
from flask_sock import Sock
from flask_wtf import CSRFProtect

from app.core.db import db

migrate = Migrate()
csrf = CSRFProtect()
security = Security()
sock = Sock()
limiter = Limiter(
    get_remote_address,
    # With Redis down the limits are kept per process rather than answering 500.
    in_memory_fallback_enabled=True,
    swallow_errors=True,
)

__all__ = ["csrf", "db", "limiter", "migrate", "security", "sock"]
