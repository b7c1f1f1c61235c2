"""E-mail addresses: they name accounts, and get no mail."""

from typing import Any

from flask_security import MailUtil
from flask_security.mail_util import EmailValidateException
from marshmallow import ValidationError, validate


class Addresses(MailUtil):
    """Whatever an account may be made with signs in, root@localhost and somebody@desk.local too."""

    def normalize(self, email: Any) -> str:
        """The address as accounts have it. Raises EmailValidateException."""
        address = str(email).strip().lower()
        try:
            validate.Email()(address)
        except ValidationError as error:
            raise EmailValidateException(str(error)) from None
        return address
