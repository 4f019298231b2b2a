from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from support.app_runs import draw_app_run, free_port
from swtformer.cli import main


def test_the_app_runs_until_it_is_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = draw_app_run(tmp_path, with_network=False)
    (tmp_path / "images").rename(tmp_path / "moved")
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    printed: list[str] = []
    pages: list[str] = []

    def visit_then_stop() -> None:
        try:
            for _ in range(600):
                printed.append(capsys.readouterr().out)
                if printed[-1]:
                    pages.append(httpx.get(address).text)
                    return
                time.sleep(0.1)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    visitor = threading.Thread(target=visit_then_stop)
    visitor.start()
    flags = ["--data.exif=apply", "--reader.rows=image"]
    code = main(["app", str(run.path), str(tmp_path / "moved"), *flags, "--port", str(port)])
    visitor.join()
    assert code == 130
    assert "".join(printed) == f"The app is at {address} (Ctrl-C ends it).\n"
    assert "Traceback" not in capsys.readouterr().err
    assert "run · swtformer" in pages[0]
    assert f"--data {tmp_path / 'moved'} --data.exif apply --reader.rows image" in pages[0]
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["app", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    run = draw_app_run(tmp_path, with_network=False)
    assert main(["app", str(run.path), "--port=70000"]) == 2
    assert "--port must be from 1 to 65535, got 70000" in capsys.readouterr().err
    assert main(["app", str(run.path), str(tmp_path / "moved")]) == 2
    assert f"{tmp_path / 'moved'}: does not exist" in capsys.readouterr().err
    assert main(["app", str(run.path), "--data.split=autumn"]) == 2
    assert "autumn" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", str(run.path)]) == 2
    assert "pip install 'swtformer[app]'" in capsys.readouterr().err
