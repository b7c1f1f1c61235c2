"""The life of the database has a name: whoever has read in another one fetches everything."""

import uuid

import sqlalchemy as sa

from app.changes.models import ConfigState
from app.core.db import commit, db


def begin_epoch() -> str:
    """Begin a new life, after a backup was put back; its name.

    A counter that was put back comes, change by change, to revs that clients know from before: who
    was away meanwhile could not tell the one from the other.
    """
    epoch = uuid.uuid4().hex
    db.session.execute(sa.update(ConfigState.__table__).values(epoch=epoch))  # type: ignore[arg-type]
    commit()
    return epoch
