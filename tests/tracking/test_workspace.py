"""Against a stand-in of W&B's server on loopback, which keeps what is posted and answers from it."""

import builtins
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ercsatz.config import WandbConfig, WandbMode
from ercsatz.errors import UserError
from ercsatz.tracking import workspace
from ercsatz.tracking.workspace import TrackedSweep, save_workspace, tracked_sweep

SWEEP = TrackedSweep("runs 1", ["org", "nat"], ["joy", "fear"], ["training.lr"], "# Ranking\n\nnat is **best**.")
KEY = "0123456789abcdef" * 2 + "01234567"


class FakeWandb(ThreadingHTTPServer):
    """Keeps views by their id; ``fails`` and ``delay`` are of the next answers to ``upsertView``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.views: dict[str, dict[str, str]] = {}
        self.upserts: list[dict[str, str]] = []
        self.authorized: list[str] = []
        self.fails = self.delay = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, query: str, given: dict[str, str]) -> dict[str, object]:
        project = {
            "id": "p",
            "internalId": "1",
            "name": given.get("projectName"),
            "entityName": given.get("entityName"),
        }
        if "upsertView" in query:
            self.upserts.append(given)
            inserted = not given.get("id")
            id = given.get("id") or f"VmlldzoxMDAw{len(self.views)}"
            self.views[id] = {**given, "id": id}
            about = {key: given.get(key) for key in ("type", "name", "displayName", "description", "spec")}
            about |= {
                "id": id,
                "project": project,
                "updatedAt": "2026-01-01T00:00:00",
                "createdAt": "2026-01-01T00:00:00",
            }
            return {"upsertView": {"view": about, "inserted": inserted}}
        if "allViews" in query:
            found = [view for view in self.views.values() if view["name"] == given["viewName"]]
            nodes = [{"node": {key: view[key] for key in ("id", "displayName", "spec")}} for view in found]
            return {"project": {"allViews": {"edges": nodes}}}
        if "viewer" in query:
            viewer = {"id": "v", "flags": "{}", "entity": "me", "username": "me", "email": "m@e", "admin": False}
            return {"viewer": {**viewer, "teams": {"edges": []}}, "serverInfo": {"features": []}}
        if "models(" in query or "projects" in query.lower():
            about = {"id": "p", "name": "ercsatz", "entityName": "me", "createdAt": "2026-01-01", "isBenchmark": False}
            about |= {"__typename": "Project", "user": None}
            page = {"edges": [{"node": about, "cursor": "c"}], "pageInfo": {"hasNextPage": False, "endCursor": "c"}}
            return {"models": page, "project": project}
        return {"project": project}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.authorized.append(self.headers.get("Authorization", ""))
        if "upsertView" in body["query"]:
            time.sleep(self.server.delay)
            if self.server.fails:
                self._send(self.server.fails, {"errors": [{"message": "no such entity"}]})
                return
        self._send(200, {"data": self.server.answer(body["query"], body.get("variables") or {})})

    def do_GET(self) -> None:
        self._send(200, {})

    def _send(self, code: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, logged_out):
    found = FakeWandb()
    monkeypatch.setenv("WANDB_BASE_URL", found.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def settings():
    return WandbConfig(mode=WandbMode.auto, project="ercsatz", entity="me", workspace=True)


def spec(posted):
    return json.loads(posted["spec"])


def sections(posted):
    return {each["name"]: each["panels"] for each in spec(posted)["section"]["panelBankConfig"]["sections"]}


def test_view_and_report_show_the_sweep_by_the_keys_that_its_runs_have(server, settings, tmp_path, capsys):
    save_workspace(settings, SWEEP, tmp_path)
    view, report = server.upserts
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("me", "ercsatz", "Sweep runs 1")
    assert view["type"] == "project-view"
    assert report["type"] == "runs"
    shown = sections(view)
    assert [*shown] == [
        "Test scores by treatment", "Validation curves", "Confusion matrices", "F1 by label", "Parameters"
    ]  # fmt: skip
    metrics = {name: {m for p in panels for m in p["config"].get("metrics", ())} for name, panels in shown.items()}
    assert {f"test/{s}/{m}" for s in ("org", "nat") for m in ("w_f1", "macro_f1", "accuracy")} == metrics[
        "Test scores by treatment"
    ]
    assert metrics["Validation curves"] == {"validation/w_f1", "train/loss"}
    assert metrics["F1 by label"] == {f"test/{s}/f1/{label}" for s in ("org", "nat") for label in ("joy", "fear")}
    tables = json.dumps(shown["Confusion matrices"])
    assert all(f"test/{name}/confusion_table" in tables for name in ("org", "nat"))
    assert "wandb/confusion_matrix/v1" in tables
    kinds = [panel["viewType"] for panel in shown["Parameters"]]
    assert kinds == ["Parallel Coordinates Plot", "Parameter Importance", "Run Comparer"]
    columns = [column["accessor"] for column in shown["Parameters"][0]["config"]["columns"]]
    assert [column.replace(".value", "") for column in columns] == [
        *(f"config:{key}" for key in ("classifier", "variant", "stage", "training.lr", "seed")), "summary:test/org/w_f1"
    ]  # fmt: skip
    (runs,) = spec(view)["section"]["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["group", "jobType"]
    assert '"runs 1"' in json.dumps(runs["filters"])
    assert "nat is **best**." in report["spec"]
    assert '"runs 1"' in report["spec"]
    grids = [block for block in spec(report)["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == 5
    grouped = [[key["name"] for key in each["grouping"]] for each in grids[0]["metadata"]["runSets"]]
    assert grouped == [["classifier.value", "variant.value", "stage.value"], ["group", "jobType"]]
    assert KEY not in (tmp_path / "wandb-workspace.json").read_text()
    out = capsys.readouterr().out
    assert "the sweep's workspace: http://127.0.0.1" in out
    assert "the sweep's report: http://127.0.0.1" in out


def test_second_run_of_a_sweep_updates_both_and_adds_none(server, settings, tmp_path):
    save_workspace(settings, SWEEP, tmp_path)
    ids = {*server.views}
    save_workspace(settings, TrackedSweep("runs 1", ["org"], ["joy"], [], "new"), tmp_path)
    assert {*server.views} == ids
    first, second = server.upserts[:2], server.upserts[2:]
    assert [each["id"] for each in second] == list(server.views)
    assert not any(each.get("id") for each in first)
    assert not any("test/nat" in view["spec"] for view in server.views.values())
    assert second[0]["name"] == first[0]["name"]


def test_server_that_refuses_is_an_error_and_not_for_ever(server, settings, tmp_path):
    server.fails = 400
    with pytest.raises(Exception, match=r"400|no such entity"):
        save_workspace(settings, SWEEP, tmp_path)
    assert not (tmp_path / "wandb-workspace.json").exists()
    server.fails = 0
    save_workspace(settings, SWEEP, tmp_path)
    assert len(server.views) == 2


def test_server_that_does_not_answer_is_waited_for_no_longer_than_told(server, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "TIMEOUT", 3.0)
    server.delay = 60
    with pytest.raises(UserError, match="did not answer within 3 s"):
        save_workspace(settings, SWEEP, tmp_path)


def test_nobody_logged_in_and_a_missing_extra_are_said(logged_out, settings, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="wandb login"):
        save_workspace(settings, SWEEP, tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    real = builtins.__import__

    def without(name, *given):
        if name.startswith("wandb_workspaces"):
            raise ImportError(name)
        return real(name, *given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'ercsatz\[wandb-workspaces\]'"):
        save_workspace(settings, SWEEP, tmp_path)


def test_nothing_happens_unless_it_is_asked_for(server, tmp_path):
    save_workspace(WandbConfig(project="ercsatz"), SWEEP, tmp_path)
    assert not server.authorized
    assert not list(tmp_path.iterdir())


def test_what_is_shown_follows_from_the_results():
    stage = {"test": {"nat": {}, "org": {}}}
    done = {"status": "completed", "stages": [stage], "labels": ["joy", "fear"], "swept": ["training.lr"]}
    found = tracked_sweep("a", [done, {"status": "failed", "swept": ["training.lr"]}, done], "text")
    assert found == TrackedSweep("a", ["org", "nat"], ["joy", "fear"], ["training.lr"], "text")
