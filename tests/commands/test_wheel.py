import site
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The console command of a fresh environment that has the built wheel, and the rest from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("ercsatz-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    install = ["--no-deps", "--no-index", "--prefix", str(folder / "venv"), "--ignore-installed", str(wheel)]
    python = [str(folder / "venv" / "bin" / "python")]
    # The packages of this environment, but not its editable ercsatz: .pth files are read of site folders only.
    (packages / "beside.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    subprocess.run([*python, "-m", "pip", "install", *install], check=True, capture_output=True, text=True)
    return folder / "venv" / "bin" / "ercsatz"


@pytest.fixture
def run(installed, tmp_path, environment):
    variables = {key: value for key, value in environment.items() if key != "PYTHONPATH"}

    def run(*arguments):
        line = [str(installed), *arguments]
        done = subprocess.run(line, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_wheel_finds_its_configuration(run):
    assert "backbone: local, roberta-base, roberta-large, tiny" in run("train", "--help")


@pytest.mark.slow
def test_wheel_ranks(run, tmp_path):
    (tmp_path / "scores.csv").write_text("benchmark,test_set,compm_org,compm_nat\nmeld,org,65.4,65.5\n")
    assert "compm_nat" in run("rank", "scores=scores.csv", "output=report")
    assert (tmp_path / "report" / "ranking.html").is_file()


@pytest.mark.slow
def test_wheel_generates_with_its_prompts_and_trains_on_its_mini(run, installed, tmp_path, micro):
    run("generate", "data=mini_nat", "plan.n_dialogues=30")
    assert (tmp_path / "data" / "mini_nat" / "train.jsonl").is_file()
    assert "original | test W-F1" in run("train", "data=mini_nat", "phase=original", *micro)
    config = run("train", "--cfg", "job", "--resolve", "sweep=a")
    (path,) = (line.split()[1] for line in config.splitlines() if line.endswith("benchmarks/mini"))
    assert Path(path).is_relative_to(installed.parents[1])
    launcher = run("train", "--cfg", "hydra", "-p", "hydra.launcher", "hydra/launcher=joblib")
    assert "hydra_plugins.ercsatz_launchers.ProcessLauncher" in launcher
