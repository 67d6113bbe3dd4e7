"""An explorer to which the reader can add a photograph of their own, from a file that they choose in the notebook."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import traitlets

from attention_lite.explorers.base import PhotographExplorer


class OwnPhotographExplorer(PhotographExplorer):
    """Has the file that the reader chose, `own`, and why it cannot be shown, `refused`."""

    own = traitlets.Bytes().tag(sync=True, from_json=lambda value, widget: bytes(value))
    refused = traitlets.Unicode().tag(sync=True)

    def see(self, photograph: Any) -> None:
        """Run the network on a photograph of the reader's own, a file or an array, and show it; ValueError if not."""
        raise NotImplementedError

    @traitlets.observe("own")
    def _show_own(self, change: dict[str, Any]) -> None:
        """Show the file that the reader chose, or say why not."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "photograph"
            path.write_bytes(change["new"])
            try:
                self.see(path)
                self.refused = ""
            except ValueError as error:
                self.refused = str(error)
