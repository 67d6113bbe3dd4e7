"""A sentence that puts an explorer of its page into a state: the MyST role `try`.

    {try}`force the gates of a green frame <green-gates>`
    {try}`switch W_O off <search:no-output>`

    {try}`ask from the first row <transformer:query=3;layer=2>`

The words become a link to #try=<explorer>:<state>. What stands in the angle brackets is the name of a state, one of
those that the explorer was made with: LiveExplorer(…, name="se", states={"green-gates": {"gates": "frame:green"}}). The
explorer's own name goes before it where several explorers of the page have such a state. The explorer listens to
the page's address, so the link can be sent to others, and the browser's Back leads back to where the reader was; a
state that changes nothing, {"start": {}}, can be linked as the way back to the beginning. In place of a state's name
may stand traits and their values, of those that the explorer shares; then the explorer's name stands before them.

A name that no explorer of the page has is a warning, which fails the build. A page without JavaScript, or with a stored
picture for want of a network's weights, shows the sentence.
"""

from __future__ import annotations

import json
import re
from html import unescape
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole

logger = logging.getLogger(__name__)

EXPLORER = re.compile(r'<div class="attention-explorer"[^>]* data-name="([^"]*)"[^>]*>.*?'
                      r'<script type="application/json">(.*?)</script>', re.DOTALL)


class Try(ReferenceRole):
    """The role: its link is checked, and finished, when the page's explorers are there."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        if not self.has_explicit_title:
            logger.warning("try needs words and the name of a state, {try}`words <state>`, got %s", self.text,
                           location=self.get_location())
        link = nodes.reference(self.rawtext, self.title, classes=["ax-try"], internal=True, refuri="")
        link["try"] = self.target
        self.set_source_info(link)
        return [link], []


def explorers(doctree: nodes.document) -> dict[str, dict]:
    """The page's explorers by name: of each, the states that it has by name, and the traits that it shares."""
    found = [match for raw in doctree.findall(nodes.raw) for match in EXPLORER.finditer(raw.astext())]
    return {unescape(match[1]): json.loads(match[2]) for match in found}


def has(explorer: dict, state: str) -> bool:
    """Whether an explorer has a state by name, or shares the traits that it sets."""
    traits = {pair.partition("=")[0] for pair in state.split(";")}
    return state in explorer.get("states", {}) or ("=" in state and traits <= set(explorer.get("shared", ())))


def finish_links(app: Sphinx, doctree: nodes.document) -> None:
    """Give each link its address; warn where no explorer, or more than one, has the state."""
    links = [link for link in doctree.findall(nodes.reference) if "try" in link]
    if not links:
        return
    known = explorers(doctree)
    for link in links:
        wanted, _, state = link["try"].rpartition(":")
        owners = [name for name, explorer in known.items() if has(explorer, state) and wanted in ("", name)]
        if len(owners) == 1:
            link["refuri"] = f"#try={quote(owners[0])}:{quote(state, safe='=;')}"
        elif wanted in app.env.temp_data.get("stored_pictures", ()):
            link.parent.replace(link, nodes.Text(link.astext()))
        else:
            there = "; ".join(f"{name}: {', '.join(explorer.get('states', {})) or 'none'}"
                              for name, explorer in known.items()) or "no explorer"
            logger.warning("try must name one state of one explorer of this page (%s), got %s", there, link["try"],
                           location=link)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("try", Try())
    app.connect("doctree-read", finish_links, priority=600)      # after the extension `explorers` has placed them
    return {"parallel_read_safe": True, "parallel_write_safe": True}
