"""Budgets whose window is over, and new ones, whose spending is summed up once more."""

from app.usage import budget_counting
from worker.celery_app import app


@app.task(name="budgets.sweep")
def sweep() -> None:
    """Settle what time has turned."""
    budget_counting.sweep()
