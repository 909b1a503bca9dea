"""The config files that come with the package: `configs/` of the checkout, which the wheel holds too."""

from pathlib import Path


def packaged_folder() -> Path:
    """Where the config files lie: in the installed package, or in the checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def packaged_config(name: str) -> str:
    """The file of a config that is called by its name alone, as in `joint`; "" if there is none."""
    path = packaged_folder() / f"{name}.py"
    return str(path) if name.isidentifier() and path.is_file() else ""


def packaged_names() -> list[str]:
    """The names of all of them."""
    return sorted(path.stem for path in packaged_folder().glob("*.py"))
