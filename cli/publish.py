"""``expclip tead publish``: a TEAD folder onto the Hugging Face Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from expclip.tead.hub.publish import Published

__all__ = ["publish"]

_OUT = Path("out/tead")


def publish(
    folder: Annotated[Path, typer.Argument(help="Folder of a built data set.")] = _OUT,
    *,
    repo: Annotated[str, typer.Option(help="OWNER/NAME on the Hub; made if there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Make it private.")] = False,
    default: Annotated[
        bool,
        typer.Option("--default", help="Load this configuration where none is named."),
    ] = False,
    augmented: Annotated[
        bool, typer.Option(help="Send the augmented configurations beside it too.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent, and the card.")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Read the rows back afterwards and compare them.")
    ] = True,
    endpoint: Annotated[
        str | None, typer.Option(help="Another Hub; by default HF_ENDPOINT, or huggingface.co.")
    ] = None,
) -> None:
    """Publish a TEAD, and what was augmented from it, to a Hub repository, in one commit.

    What other folders have published there stays. Stopped at any moment, the same command
    goes on where it was. Log in first with `hf auth login`, or set HF_TOKEN.
    """
    from expclip.tead.hub.checkout import renew_checkout
    from expclip.tead.hub.publish import publish as publish_tead

    found = publish_tead(
        folder,
        repo,
        private=private,
        default=default,
        augmented=augmented,
        dry_run=dry_run,
        check=check,
        endpoint=endpoint,
    )
    for path, size in sorted(found.files.items()):
        print(f"{'would send' if dry_run else 'sent'} {path} ({_bytes(size)})")
    for path in found.deleted:
        print(f"{'would delete' if dry_run else 'deleted'} {path}")
    for config in found.removed:
        print(f"{'would remove' if dry_run else 'removed'} configuration {config}")
    if dry_run:
        print(f"configurations then: {', '.join(found.configs)}")
        print(f"\n{found.card}")
        print(f"next: the same without --dry-run publishes to {found.url}")
        return
    _tell(found, repo)
    if renewed := renew_checkout(repo, found.configs, Path()):
        print(f"{renewed}: names {', '.join(found.configs)} now: commit it")


def _tell(found: "Published", repo: str) -> None:
    """Print where it lies, and how it is loaded."""
    if not found.files and not found.deleted:
        print("nothing to send: the repository holds all of it")
    names = ", ".join((found.config, *found.augmented))
    word = "configurations" if found.augmented else "configuration"
    print(f"{found.url} at {found.revision[:10]}, {word} {names}")
    if found.checked:
        print(f"checked: {found.checked:,} rows came back as they were built")
    for config in (found.config, *found.augmented):
        print(f'load it: datasets.load_dataset("{repo}", "{config}")')
    print(f"next: look at the card, {found.url}")


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} bytes"
