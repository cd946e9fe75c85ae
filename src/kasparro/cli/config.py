"""`kasparro config`: the configuration in force, and its JSON Schema."""

import json
import os

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result


@command(example="kasparro config show --json")
def show(context: Context) -> Result:
    """Show the configuration in force, defaults included; what comes from variables is shown as it is written."""
    import yaml

    from kasparro.schemas.configuration import load_configuration
    from kasparro.schemas.configuration.export import shown_configuration

    shown = shown_configuration(load_configuration(context.config_path, os.environ))
    return Result(shown, [yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip()])


@command(example="kasparro config schema > kasparro.schema.json")
def schema(context: Context) -> Result:
    """Print the JSON Schema of the configuration file, for editors."""
    from kasparro.schemas.configuration.export import json_schema

    del context
    document = json_schema()
    return Result(document, [json.dumps(document, indent=2, ensure_ascii=False)])
