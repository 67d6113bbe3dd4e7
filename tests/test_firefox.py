"""The live explorer in Firefox, from disk: the page drives itself, and posts what it answers and what went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import firefox
import pytest
import torch
from test_live_explorer import (  # noqa: F401  (fixtures, too)
    TOLERANCE,
    address,
    own_gates,
    se,
    shown,
    site,
    torchs,
)

from attention_lite.lab import ask_for
from attention_lite.lab.live import Stage

# Puts the explorer into each state by its address, waits until it is shown, and reads the ten bars. Keys as a reader
# presses them come last. An error anywhere is posted in place of the answers.
JUDGE = """
const judge = `http://127.0.0.1:${location.search.slice(1)}`;
const post = (what) => fetch(judge, { method: "POST", mode: "no-cors", body: JSON.stringify(what) });
addEventListener("error", (event) => post({ error: event.message }));
addEventListener("unhandledrejection", (event) => post({ error: String(event.reason) }));
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const until = async (true_, what) => {
  for (let i = 0; !true_(); i++) {
    if (i > 600) throw new Error(`waited in vain for ${what}`);
    await wait(50);
  }
};
const root = document.querySelector(".attention-explorer");
const sorted = (state) => state?.split(";").sort().join(";");
const reach = (state) => until(() => sorted(root.dataset.state) === sorted(state), state);
const press = (key) =>
  root.querySelector(".ax-pull").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const bars = () => Array.from(root.querySelectorAll(".ax-answer i"), (bar) => parseFloat(bar.style.height) / 100);
addEventListener("load", async () => {
  await until(() => root.querySelector("[role=status]")?.textContent.includes("The network reads"), "the network");
  const found = {};
  for (const [state, hash] of Object.entries(STATES)) {
    location.hash = hash;
    await reach(state || "as it began");
    found[state] = bars();
  }
  location.hash = "";
  await reach("as it began");
  ["Home", "PageDown"].forEach(press);
  await reach("pulled=0:0");
  found.keys = bars();
  root.querySelector(".ax-memory button").click();
  await until(() => root.querySelector(".ax-count").textContent, "the count");
  post({ found, count: root.querySelector(".ax-count").textContent });
});
"""


@pytest.mark.thorough
def test_firefox_answers_as_torch_does(site: Path, shown, se: Stage, tmp_path: Path) -> None:  # noqa: F811
    test, scenes = shown
    one = scenes[:1]
    moved = one.replace(y=torch.tensor([[30.0, 20.0, 44.0]]), x=torch.tensor([[20.0, 40.0, 30.0]]))
    shut = own_gates(one)
    shut[:, 0] = 0
    expected = {
        "": torchs(one),
        "frame=blue": torchs(ask_for(one, 2)),
        "model=none": torchs(one, model="none"),
        "gates=frame:green": torchs(one, gates=own_gates(ask_for(one, 1))),
        "trained=false;seed=1": torchs(one, seed=1, trained=False),
        "places=0:30_20,1:20_40,2:44_30": torchs(moved),
        "keys": torchs(one, gates=shut),
    }
    states = json.dumps({state: address(state) or "#" for state in expected if state != "keys"})
    page = site / "firefox.html"
    page.write_text((site / "page.html").read_text(encoding="utf-8").replace(
        "</body>", f"<script>const STATES = {states};{JUDGE}</script></body>"), encoding="utf-8")

    told = firefox.verdict(page, tmp_path, 120)
    assert "error" not in told, told
    for state, probabilities in expected.items():
        torch.testing.assert_close(torch.tensor(told["found"][state]), probabilities[0], rtol=0, atol=TOLERANCE)
    gates = own_gates(test)
    gates[:, 0] = 0
    changed = int((torchs(test, gates=gates).argmax(1) != torchs(test).argmax(1)).sum())
    assert f"another answer in {changed} of 200" in told["count"]


@pytest.mark.parametrize(("there", "tried", "code"), [
    ([True], [], 0),
    ([False, True], ["package"], 0),
    ([False, False, True], ["package", "playwrights"], 0),
    ([False, False, False], ["package", "playwrights"], 1),
])
def test_a_firefox_is_looked_for_in_this_order(there: list[bool], tried: list[str], code: int,
                                               monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    answers, done = iter(there), []
    monkeypatch.setattr(firefox, "found", lambda: "firefox" if next(answers) else None)
    for way in ("playwrights", "package"):
        monkeypatch.setattr(firefox, f"install_{way}", lambda way=way: done.append(way) or True)
    assert firefox.bring() == code
    assert done == tried
    assert bool(code) == ("none could be brought" in capsys.readouterr().err)
