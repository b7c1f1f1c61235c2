"""The one table of core: the canary that tells a wrong encryption key at start."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class EncryptionCanary(Base):
    """One known text, sealed: if it does not open, the keys are not this database's keys."""

    __tablename__ = "encryption_canary"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    sealed: Mapped[str] = mapped_column(sa.Text)
