"""`fairlead init`: writes a commented `fairlead.yaml` and the schema that editors check it with."""

import argparse
import sys
from importlib.resources import files
from pathlib import Path

import msgspec

from fairlead.config.load import DEFAULT_FILE
from fairlead.config.schema import json_schema

SCHEMA_FILE = "fairlead.schema.json"


def run(args: argparse.Namespace) -> int:
    """0 once both files are there; 1 where a configuration is there already or the place cannot be written."""
    folder = Path(args.dir)
    file = folder / DEFAULT_FILE
    starter = (files("fairlead.cli") / "starter.yaml").read_text(encoding="utf-8")
    schema = msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(starter)
        (folder / SCHEMA_FILE).write_text(schema, encoding="utf-8")
    except FileExistsError:
        print(f"fairlead init: {file} is there already; it was left as it is", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"fairlead init: {folder} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(
        f"wrote {file}\nnext: set OPENAI_API_KEY or ANTHROPIC_API_KEY, then run 'fairlead check', then 'fairlead serve'"
    )
    return 0
