# SPDX-License-Identifier: GPL-2.0-or-later
"""The schemas of --json: valid, strict and described, so that they can be relied upon."""
import json

import jsonschema
import pytest

from conftest import TOP

SCHEMAS = sorted((TOP / "cli/schema").glob("*.json"))


def objects(schema, place=""):
    """(where, schema) of each schema of an object below a schema."""
    if isinstance(schema, list):
        for i, inner in enumerate(schema):
            yield from objects(inner, f"{place}/{i}")
    elif isinstance(schema, dict):
        if "properties" in schema and not place.endswith("/if"):
            yield place, schema
        for name, inner in schema.items():
            if name not in ("enum", "const", "required"):
                yield from objects(inner, f"{place}/{name}")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_schema(path):
    schema = json.loads(path.read_text())
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert schema["title"].startswith("canonfs ") or "canonfs" in schema["title"]
    assert schema["description"]
    for place, inner in objects(schema):
        assert inner.get("additionalProperties") is False, place
        for name, member in inner["properties"].items():
            assert {"description", "$ref", "const"} & set(member), f"{place}/{name}"
