"""An explorer to which the reader can add a photograph of their own, from a file that they choose in the notebook."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets

from attention_lite.explorers.base import PhotographExplorer


class OwnPhotographExplorer(PhotographExplorer):
    """Has the file that the reader chose, `own`, until it is dealt with, and why it cannot be shown, `refused`."""

    # The kernel does not send a file back to the page that has just sent it.
    own = traitlets.Bytes().tag(sync=True, echo_update=False, from_json=lambda value, widget: bytes(value))
    refused = traitlets.Unicode().tag(sync=True)

    _look: Callable[[Any], Any] | None = None

    def see(self, photograph: Any) -> None:
        """Run the networks on a photograph of the reader's own, a file or an array, and show it.

        Raises:
            ValueError: if the explorer was made without `look`, or `look` cannot read the photograph.
        """
        if self._look is None:
            raise ValueError("see needs an explorer made with look=, a function that runs the network; got none")
        state = self._with(self._look(photograph))
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)

    def _with(self, found: Any) -> dict[str, Any]:
        """The traits of the explorer once `found`, which `look` gave, is among its photographs, and is shown."""
        raise NotImplementedError

    @traitlets.observe("own")
    def _show_own(self, change: dict[str, Any]) -> None:
        """Show the file that the reader chose, or say why not."""
        if not change["new"]:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "photograph"
            path.write_bytes(change["new"])
            try:
                self.see(path)
                self.refused = ""
            except ValueError as error:
                self.refused = str(error)
            except Exception as error:       # what a kernel raises here reaches no cell of the notebook
                self.refused = f"The photograph could not be shown: {error!r}"
                raise
            finally:
                self.own = b""
