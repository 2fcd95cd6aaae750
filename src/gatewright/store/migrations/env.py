"""Alembic's entry: runs the revisions on the connection and in the transaction of `store.migrating`."""

from alembic import context

from gatewright.store.tables import metadata

if context.is_offline_mode():
    # Printed for an administrator of PostgreSQL.
    context.configure(dialect_name="postgresql", target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()
