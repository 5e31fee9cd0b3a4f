"""Put plugins/ and sessions/ inside the package in a wheel; an editable install reads them from the checkout."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):
    """Maps the two top-level folders to pointsman/plugins and pointsman/sessions."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to every wheel except an editable one."""
        if version != "editable":
            folders = [name for name in ("plugins", "sessions") if (Path(self.root) / name).is_dir()]
            build_data["force_include"].update({name: f"pointsman/{name}" for name in folders})
