"""Run the amqplib tests: `python -m interop.clients.node`, against our broker or the one that `AMQP_URL` names."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from interop.clients.python.support.broker_process import BrokerProcess

_HERE: Final = Path(__file__).resolve().parent


def main() -> int:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        print("no Node.js here: nothing tested", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory(prefix="amqplib-") as folder:
        for pattern in ("*.json", "*.mjs"):
            for file in _HERE.glob(pattern):
                shutil.copy(file, folder)
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
        if "AMQP_URL" in os.environ:
            return _run_tests(node, folder, os.environ["AMQP_URL"])
        with BrokerProcess() as broker:
            return _run_tests(node, folder, broker.url)


def _run_tests(node: str, folder: str, url: str) -> int:
    command = [node, "--test", "--test-timeout=30000"]
    return subprocess.run(command, cwd=folder, env={**os.environ, "AMQP_URL": url}, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
