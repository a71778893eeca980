"""The embedded SQLite database or a PostgreSQL: virtual keys, what was spent, how far the journals were read.

It knows tables, transactions and migrations. It must not know HTTP, the configuration's file or traffic: workers never
open it. Statements have parameters only; none is put together from text.
"""
