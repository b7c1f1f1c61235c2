"""Clients: who was seen on a socket, and which rev it runs. Not configuration: raises no rev."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from app.accounts.models import ApiToken, User
from app.core.db import Base
from app.push.client_frames import MAX_TEXT


class Client(Base):
    """One running program, by the `client_id` it says hello with and the token it comes with."""

    __tablename__ = "clients"
    __table_args__ = (
        sa.CheckConstraint("(token_id IS NULL) <> (user_id IS NULL)", name="one_owner"),
    )

    id: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    """Owner and `client_id`: who comes back is the same row. Not a number from a sequence, of
    which every write, new row or not, would use one up."""
    client_id: Mapped[str] = mapped_column(sa.String(MAX_TEXT))
    token_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("api_tokens.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    """Whose session it is, where it came without a token."""
    sdk: Mapped[str | None] = mapped_column(sa.String(MAX_TEXT))
    epoch: Mapped[str | None] = mapped_column(sa.String(MAX_TEXT))
    applied_rev: Mapped[int | None] = mapped_column(sa.BigInteger)
    sent_rev: Mapped[int] = mapped_column(sa.BigInteger)
    """The last rev that concerned it: revs after that are none of its business."""
    process: Mapped[str] = mapped_column(sa.String(280))
    """The web process that serves it, as host:pid."""
    connected_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    disconnected_at: Mapped[datetime | None]

    token: Mapped[ApiToken | None] = relationship(viewonly=True)
    user: Mapped[User | None] = relationship(viewonly=True)

    # Both depend on when they are asked for: `clients.list_query` puts them in.
    connected: Mapped[bool] = query_expression()
    behind: Mapped[int] = query_expression()
