"""`fairlead migrate`: brings the database's schema to this version's."""

import argparse
import sys

import msgspec

from fairlead.cli.output import print_json
from fairlead.cli.stores import UnusableError, store_of
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError


def run(args: argparse.Namespace) -> int:
    """0 where the schema is this version's now, else 1."""
    try:
        place = store_of(args).place
        database = Database(place)
        try:
            found = schema.standing(database) if args.check else schema.migrate(database)
        finally:
            database.close()
    except (UnusableError, DatabaseError) as problem:
        print(f"fairlead migrate: {problem}", file=sys.stderr)
        return 1
    if args.json:
        print_json({"database": place.name, **msgspec.structs.asdict(found)})
    elif found.state == "current":
        print(f"{place.name}: schema {found.found}")
    else:
        print(schema.explained(place.name, found))
    return 0 if found.state == "current" else 1
