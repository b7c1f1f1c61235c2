"""The first tables."""

import uuid

import sqlalchemy as sa
from alembic import op

from app.core import db as types
from app.core.clock import utcnow

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("rev", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("entity", sa.String(length=32), nullable=False),
        sa.Column("entity_id", sa.Integer(), nullable=False),
        sa.Column("root", sa.String(length=256), nullable=False),
        sa.Column(
            "operation",
            sa.Enum(
                "create",
                "update",
                "delete",
                "status",
                name="operation",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("diff", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("rev", "seq", name=op.f("pk_changes")),
    )
    with op.batch_alter_table("changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_changes_at"), ["at"], unique=False)
        batch_op.create_index("ix_changes_entity", ["entity", "entity_id", "rev"], unique=False)
        batch_op.create_index("ix_changes_root", ["root", "rev"], unique=False)

    config_state = op.create_table(
        "config_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("log_floor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_config_state_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_config_state")),
    )
    op.bulk_insert(config_state, [{"id": 1, "epoch": uuid.uuid4().hex, "rev": 0, "log_floor": 0}])
    op.create_table(
        "encryption_canary",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_encryption_canary_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_encryption_canary")),
    )
    global_halt = op.create_table(
        "global_halt",
        sa.Column("halted_at", types.UtcDateTime(), nullable=True),
        sa.Column("halted_reason", sa.String(length=500), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_global_halt_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_global_halt")),
    )
    now = utcnow()
    op.bulk_insert(
        global_halt,
        [{"id": 1, "version": 1, "config_rev": 0, "created_at": now, "updated_at": now}],
    )
    op.create_table(
        "providers",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column(
            "capability",
            sa.Enum(
                "llm",
                "tts",
                "stt",
                name="capability",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("base_url", sa.String(length=2048), nullable=False),
        sa.Column("options", types.Json, nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column(
            "validation_status",
            sa.Enum(
                "pending",
                "validating",
                "connected",
                "error",
                name="validation_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "settled_status",
            sa.Enum(
                "pending",
                "validating",
                "connected",
                "error",
                name="settled_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("last_checked_at", types.UtcDateTime(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.Column("models", types.Json, nullable=True),
        sa.Column("check_id", sa.String(length=32), nullable=True),
        sa.Column("check_lease_until", types.UtcDateTime(), nullable=True),
        sa.Column("api_key_sealed", sa.Text(), nullable=True),
        sa.Column("api_key_id", sa.String(length=32), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint("latency_ms >= 0", name=op.f("ck_providers_latency")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name=op.f("ck_providers_name_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_providers")),
        sa.UniqueConstraint("api_key_id", name=op.f("uq_providers_api_key_id")),
        sa.UniqueConstraint("name", name=op.f("uq_providers_name")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("providers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_providers_type"), ["type"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_providers_validation_status"), ["validation_status"], unique=False
        )

    op.create_table(
        "users",
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "admin",
                "operator",
                "viewer",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("fs_uniquifier", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_users_fs_uniquifier")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "agents",
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("system_prompt", sa.Text(), nullable=True),
        sa.Column("user_prompt", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("halted_at", types.UtcDateTime(), nullable=True),
        sa.Column("halted_reason", sa.String(length=500), nullable=True),
        sa.Column("metadata", types.Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint("is_active OR NOT is_default", name=op.f("ck_agents_default_is_active")),
        sa.CheckConstraint(
            "length(agent_id) BETWEEN 1 AND 64", name=op.f("ck_agents_agent_id_length")
        ),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name=op.f("ck_agents_name_length")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_agents_owner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("agent_id", name=op.f("uq_agents_agent_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.create_index("ix_agents_name", ["name", "id"], unique=False)
        batch_op.create_index(
            "ix_agents_halted",
            ["halted_at"],
            sqlite_where=sa.text("halted_at IS NOT NULL"),
            postgresql_where=sa.text("halted_at IS NOT NULL"),
        )
        batch_op.create_index(batch_op.f("ix_agents_owner_id"), ["owner_id"], unique=False)
        batch_op.create_index(
            "uq_agents_default_global",
            ["is_default"],
            unique=True,
            sqlite_where=sa.text("is_default AND owner_id IS NULL"),
            postgresql_where=sa.text("is_default AND owner_id IS NULL"),
        )
        batch_op.create_index(
            "uq_agents_default_of_owner",
            ["owner_id"],
            unique=True,
            sqlite_where=sa.text("is_default AND owner_id IS NOT NULL"),
            postgresql_where=sa.text("is_default AND owner_id IS NOT NULL"),
        )

    op.create_table(
        "api_tokens",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=12), nullable=False),
        sa.Column("scopes", types.Json, nullable=False),
        sa.Column("agents", types.Json, nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("expires_at", types.UtcDateTime(), nullable=True),
        sa.Column("revoked_at", types.UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_tokens_user_id"), ["user_id"], unique=False)

    op.create_table(
        "provider_checks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("provider_id", sa.Integer(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "validating",
                "connected",
                "error",
                name="validation_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("model_count", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["providers.id"],
            name=op.f("fk_provider_checks_provider_id_providers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_checks")),
    )
    with op.batch_alter_table("provider_checks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_provider_checks_provider", ["provider_id", "started_at"], unique=False
        )

    op.create_table(
        "llm_configs",
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("provider_id", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.String(length=256), nullable=False),
        sa.Column("endpoint", sa.String(length=2048), nullable=True),
        sa.Column("timeout", sa.Integer(), nullable=False),
        sa.Column("temperature", sa.Float(), nullable=False),
        sa.Column("top_p", sa.Float(), nullable=True),
        sa.Column("max_tokens", sa.Integer(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("metadata", types.Json, nullable=False),
        sa.Column("cost_per_1k_input_tokens", types.ExactDecimal(), nullable=True),
        sa.Column("cost_per_1k_output_tokens", types.ExactDecimal(), nullable=True),
        sa.Column("cost_per_1k_cached_input_tokens", types.ExactDecimal(), nullable=True),
        sa.Column("cost_per_1k_reasoning_tokens", types.ExactDecimal(), nullable=True),
        sa.Column("api_key_sealed", sa.Text(), nullable=True),
        sa.Column("api_key_id", sa.String(length=32), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "length(model_name) BETWEEN 1 AND 256", name=op.f("ck_llm_configs_model_name_length")
        ),
        sa.CheckConstraint(
            "max_tokens BETWEEN 1 AND 128000", name=op.f("ck_llm_configs_max_tokens")
        ),
        sa.CheckConstraint("temperature BETWEEN 0 AND 2", name=op.f("ck_llm_configs_temperature")),
        sa.CheckConstraint("timeout BETWEEN 1 AND 300", name=op.f("ck_llm_configs_timeout")),
        sa.CheckConstraint("top_p BETWEEN 0 AND 1", name=op.f("ck_llm_configs_top_p")),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
            name=op.f("fk_llm_configs_agent_id_agents"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_llm_configs_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_configs")),
        sa.UniqueConstraint("agent_id", "position", name="uq_llm_configs_position"),
        sa.UniqueConstraint("api_key_id", name=op.f("uq_llm_configs_api_key_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("llm_configs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_llm_configs_agent_id"), ["agent_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_llm_configs_provider_id"), ["provider_id"], unique=False
        )

    op.create_table(
        "speech_configs",
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column(
            "capability",
            sa.Enum(
                "llm",
                "tts",
                "stt",
                name="capability",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("provider_id", sa.Integer(), nullable=False),
        sa.Column("settings", types.Json, nullable=False),
        sa.Column("api_key_sealed", sa.Text(), nullable=True),
        sa.Column("api_key_id", sa.String(length=32), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
            name=op.f("fk_speech_configs_agent_id_agents"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["providers.id"],
            name=op.f("fk_speech_configs_provider_id_providers"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_speech_configs")),
        sa.UniqueConstraint("agent_id", "capability", name="uq_speech_configs_capability"),
        sa.UniqueConstraint("api_key_id", name=op.f("uq_speech_configs_api_key_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("speech_configs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_speech_configs_agent_id"), ["agent_id"])
        batch_op.create_index(batch_op.f("ix_speech_configs_provider_id"), ["provider_id"])


def downgrade() -> None:
    op.drop_table("speech_configs")
    with op.batch_alter_table("llm_configs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_llm_configs_provider_id"))
        batch_op.drop_index(batch_op.f("ix_llm_configs_agent_id"))

    op.drop_table("llm_configs")
    with op.batch_alter_table("provider_checks", schema=None) as batch_op:
        batch_op.drop_index("ix_provider_checks_provider")

    op.drop_table("provider_checks")
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_tokens_user_id"))

    op.drop_table("api_tokens")
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_agents_default_of_owner",
            sqlite_where=sa.text("is_default AND owner_id IS NOT NULL"),
            postgresql_where=sa.text("is_default AND owner_id IS NOT NULL"),
        )
        batch_op.drop_index(
            "uq_agents_default_global",
            sqlite_where=sa.text("is_default AND owner_id IS NULL"),
            postgresql_where=sa.text("is_default AND owner_id IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_agents_owner_id"))
        batch_op.drop_index("ix_agents_halted")
        batch_op.drop_index("ix_agents_name")

    op.drop_table("agents")
    op.drop_table("users")
    with op.batch_alter_table("providers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_providers_validation_status"))
        batch_op.drop_index(batch_op.f("ix_providers_type"))

    op.drop_table("providers")
    op.drop_table("global_halt")
    op.drop_table("encryption_canary")
    op.drop_table("config_state")
    with op.batch_alter_table("changes", schema=None) as batch_op:
        batch_op.drop_index("ix_changes_root")
        batch_op.drop_index("ix_changes_entity")
        batch_op.drop_index(batch_op.f("ix_changes_at"))

    op.drop_table("changes")
