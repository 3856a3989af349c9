"""A Slurm of one's own on this machine, to be thrown away: python tests/servers/slurm.py FOLDER COMMAND...

Two nodes of one core each, by two ``slurmd`` with other names, one controller, one ``munged``; all below a folder, on
loopback, without accounting, cgroups or systemd. Needs Debian's slurmctld, slurmd, slurm-client and munge, and root.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "squeue", "munged")
NODES = ("one", "two")
_PATIENCE = 60.0  # seconds until the nodes must be idle

_CONF = """\
ClusterName=throwaway
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,sched_min_interval=0,requeue_delay=1
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=300
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd-%n
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=8000 State=UNKNOWN
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""


def lacks() -> str | None:
    """Why there can be no Slurm here."""
    missing = [name for name in PROGRAMS if _path(name) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
    return None if os.geteuid() == 0 else "slurmd runs jobs as root alone"


class Slurm:
    """Runs while it is open.

    Args:
        folder: for all its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> Mapping[str, str]:
        """What a command needs to find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self) -> "Slurm":
        for name in ("state", "log", "munge", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge").chmod(0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        conf = _CONF.format(folder=self.folder, host=socket.gethostname().partition(".")[0], ports=_ports(3))
        (self.folder / "slurm.conf").write_text(conf)
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60).stdout

    def _start_all(self) -> None:
        munge = self.folder / "munge"
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self._start("munged", "--foreground", "--force", *(f"--{key}={munge / name}" for key, name in places.items()))
        self._until(lambda: (munge / "socket").exists())
        self._start("slurmctld", "-D")
        for node in NODES:
            self._start("slurmd", "-D", "-N", node)
        self._until(lambda: self.ask("sinfo", "--noheader", "--Node", "--format=%T").split() == ["idle"] * len(NODES))

    def _start(self, name: str, *arguments: str) -> None:
        program = _path(name)
        assert program is not None
        with (self.folder / "log" / f"{name}-{len(self._processes)}.out").open("wb") as log:
            process = subprocess.Popen(
                [program, *arguments], stdout=log, stderr=log, env={**os.environ, **self.environment}
            )
        self._processes.append(process)

    def _until(self, there) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                if there():
                    return
            except subprocess.CalledProcessError:
                pass
            time.sleep(0.2)
        logs = "\n".join(f"{file}:\n{file.read_text()[-2000:]}" for file in sorted((self.folder / "log").iterdir()))
        raise RuntimeError(f"Slurm does not start:\n{logs}")


def _path(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Slurm(Path(sys.argv[1])) as slurm:
        done = subprocess.run(sys.argv[2:], env={**os.environ, **slurm.environment}, check=False)
    sys.exit(done.returncode)
