"""Many rows in one step, the way in which each database is quickest.

It must not know what the rows are; a row is a tuple in the order of its table's columns.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

Rows = Iterable[tuple[Any, ...]]


def append(connection: Connection, table: Table, rows: Rows) -> None:
    """Adds rows that are new."""
    if connection.dialect.name == "sqlite":
        _execute(connection, insert(table), rows)
        return
    driver: Any = connection.connection.driver_connection
    columns = ", ".join(column.name for column in table.columns)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def accumulate(connection: Connection, table: Table, rows: Rows) -> None:
    """Adds each row to the one of its key: what is no part of the key is summed.

    Callers sort the rows, so that two of them never wait for each other in a ring.
    """
    statement = insert_of(connection)(table)
    sums = [column.name for column in table.columns if not column.primary_key]
    added = statement.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={name: table.c[name] + statement.excluded[name] for name in sums}
    )
    if connection.dialect.name == "sqlite":
        _execute(connection, added, rows)
    else:
        names = table.columns.keys()
        if values := [dict(zip(names, row, strict=True)) for row in rows]:
            connection.execute(added, values)


def insert_of(connection: Connection) -> Any:
    """`INSERT … ON CONFLICT` is no part of standard SQL: each database has its own spelling."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def _execute(connection: Connection, statement: Any, rows: Rows) -> None:
    """By the driver alone: looking at each value on its way costs as much as storing it."""
    driver: Any = connection.connection.driver_connection
    driver.executemany(str(statement.compile(dialect=connection.dialect)), rows)
