"""Kernels whose heavy imports are done: each is forked from a process that has imported torch and matplotlib once.

A fresh kernel takes some seconds of a processor to import them, in each of nineteen chapters. A fork has them at once,
and nothing else: no name, no drawn number, no module of the book. Where a system cannot fork, kernels start as ever.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
# The inline backend's name must stand before matplotlib reads it; it is imported by the kernel itself.
BACKEND = "module://matplotlib_inline.backend_inline"
PRELOADED = ["__main__", "kernels", "torch", "matplotlib.pyplot", "matplotlib.backends.backend_svg", "PIL.Image",
             "ipykernel.kernelapp", "ipykernel.ipkernel", "IPython.terminal.ipapp"]


def run(arguments: list[str], folder: str | None, environment: dict[str, str]) -> None:
    """Be a kernel, in a forked process."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()                                             # as jupyter_client starts one
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    if folder:
        os.chdir(folder)
    sys.argv = ["kernel", *arguments]
    # It ends when the process that forked it does.
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])


class Forked:
    """A forked kernel's process, as `subprocess.Popen` would give it."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], folder: str | None, environment: dict[str, str]) -> None:
        os.environ.setdefault("MPLBACKEND", BACKEND)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.process = context.Process(target=run, args=(arguments, folder, environment))
        self.process.start()
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int | None:
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


class ForkingProvisioner(LocalProvisioner):
    """Launches a kernel by forking."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        arguments = cmd[cmd.index("-f"):]                   # behind "python -m ipykernel_launcher"
        self.process = Forked(arguments, kwargs.get("cwd"), kwargs["env"])
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class ForkingManager(AsyncKernelManager):
    """A manager of one forked kernel."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if CAN_FORK:
            self.provisioner = ForkingProvisioner(kernel_id="", kernel_spec=self.kernel_spec, parent=self)
