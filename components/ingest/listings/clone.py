"""A repository on GitHub at one commit: what it lists, and where each of its files is served."""

import dataclasses
import hashlib
import io
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd


@dataclasses.dataclass(frozen=True)
class Clone:
    """A local clone, bare or not; `name` is its owner and name on GitHub, `commit` the one to read."""

    folder: Path
    name: str
    commit: str

    def table(self, path: str) -> list[dict[Any, str]]:
        """Returns the rows of a CSV file as they are written."""
        content = io.BytesIO(self._git("show", f"{self.commit}:{path}"))
        return pd.read_csv(content, dtype=str, keep_default_na=False).to_dict("records")

    def files(self, folder: str) -> list[str]:
        """Returns the paths of all files of a folder and the folders in it."""
        return self._git("ls-tree", "-r", "-z", "--name-only", self.commit, f"{folder}/").decode().split("\0")[:-1]

    def sha256(self, path: str) -> str:
        """Returns the checksum of a file, or an empty string when the clone leaves it out (those of 4 MiB and more, say)."""
        try:
            return hashlib.sha256(self._git("show", f"{self.commit}:{path}")).hexdigest()
        except subprocess.CalledProcessError:
            return ""

    def address(self, path: str) -> str:
        """Returns where a file is served, for as long as the repository is."""
        return f"https://raw.githubusercontent.com/{self.name}/{self.commit}/{quote(path)}"

    def page(self) -> str:
        """Returns the page of the repository."""
        return f"https://github.com/{self.name}"

    def _git(self, *arguments: str) -> bytes:
        environment = {**os.environ, "GIT_NO_LAZY_FETCH": "1"}
        return subprocess.run(["git", "-C", self.folder, *arguments], check=True, capture_output=True, env=environment).stdout
