"""The extensions, unbound: create_app binds them."""

from flask_migrate import Migrate
from flask_security import Security
from flask_sock import Sock
from flask_wtf import CSRFProtect

from app.core.db import db
from app.core.mail import Addresses

migrate = Migrate()
csrf = CSRFProtect()
security = Security(mail_util_cls=Addresses)
sock = Sock()

__all__ = ["csrf", "db", "migrate", "security", "sock"]
