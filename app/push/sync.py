from app.core.rest import Blueprint

blueprint = Blueprint("sync", __name__)
