"""What Alembic runs: the migrations, on the connection and in the transaction that `schema` has begun."""

from alembic import context

from fairlead.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
