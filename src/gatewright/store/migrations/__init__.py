"""Schema migrations, run by Alembic at open. Each revision is complete in itself: it never imports the tables."""
