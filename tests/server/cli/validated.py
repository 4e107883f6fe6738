"""A directory of definitions, and the command ``validate`` that checks them."""

from pathlib import Path

from tests.server.cli.commands import Commands, Done


class Validated:
    """A directory of definitions, and the command that checks them; its name is cut off from what is said."""

    def __init__(self, path: Path, command: Commands) -> None:
        self.path = path
        self._command = command
        path.mkdir()

    def write(self, name: str, text: str | bytes) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(file)

    def validate(self, *arguments: str) -> Done:
        exit_code, output, error = self._command("validate", *(arguments or (str(self.path),)))
        return Done(exit_code, output.replace(f"{self.path}/", ""), error.replace(f"{self.path}/", ""))

    def found(self, *arguments: str) -> list[str]:
        """What it says of definitions: faults, warnings, and not the last line, which counts them."""
        done = self.validate(*arguments)
        *lines, counts = done.output.splitlines()
        warnings = [line for line in lines if ": warning: " in line]
        faults = len(lines) - len(warnings)
        assert lines[faults:] == warnings
        assert (
            f" {faults} fault{'s' * (faults != 1)}, {len(warnings)} warning{'s' * (len(warnings) != 1)} "
            in counts
        )
        assert (done.exit_code, done.error) == (1 if faults else 0, "")
        return lines
