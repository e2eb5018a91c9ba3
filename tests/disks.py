"""A small disk of its own for a test, which can be filled and emptied."""

import os
import subprocess
from pathlib import Path


class Disk:
    """A tmpfs; what a test writes there is beside the ballast that fills it.

    Attributes:
        path: where it is mounted.
    """

    def __init__(self, path: Path, num_bytes: int, options: str = "") -> None:
        """Mounts it.

        Raises:
            OSError: this machine does not let the process mount anything.
        """
        self.path = path
        self._ballast = path / "ballast"
        settings = ",".join(filter(None, [f"size={num_bytes}", options]))
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", settings, "tmpfs", str(path)], capture_output=True, text=True)
        if done.returncode:
            raise OSError(done.stderr.strip())

    def fill(self, left_bytes: int = 0) -> None:
        """Leaves so much room, in whole pages."""
        self._ballast.unlink(missing_ok=True)
        status = os.statvfs(self.path)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - left_bytes))

    def free(self) -> None:
        """Takes the ballast away."""
        self._ballast.unlink()

    def files(self) -> list[str]:
        """Returns the names of the files beside the ballast, but for locks, which are empty and stay."""
        files = [path for path in self.path.rglob("*") if path.is_file() and path != self._ballast and not path.name.endswith("lock")]
        return sorted(path.relative_to(self.path).as_posix() for path in files)

    def remount(self, options: str) -> None:
        """Changes how it is mounted, such as `ro`."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True, capture_output=True)

    def unmount(self) -> None:
        """Takes the disk away, with what is on it."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=True, capture_output=True)
