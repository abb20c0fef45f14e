"""The card and the Croissant metadata of what is published."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
from publishing import OF_DATASET, api_of, metadata, remote, send
from servers.hub import HubServer

pytest_plugins = ["publishing_fixtures"]


def test_the_card_tells_of_all_configurations_and_survives_any_text(
    server: HubServer, folders: dict[str, Path]
) -> None:
    send(server, folders["model-a"])
    card = send(server, folders["model-b"]).card
    data = metadata(card)
    assert data["license"] == "other" and data["size_categories"] == ["n<1K"]
    for words in (
        'load_dataset("expclip/tead", "model-b")',
        "Annotated by the language model `model-b`",
        "| rows | `model-a` | `model-b` |",
        "faces/model-a.png",
        "sadness, grief, longing",
        "joy, pride, relief",
    ):
        assert words in card
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\| =cmd() \\`x\\`" in card
    assert "<script>" not in card and "\u202e" not in card


def test_metadata_added_by_hand_stays(server: HubServer, folders: dict[str, Path]) -> None:
    api = api_of(server)
    api.create_repo(**OF_DATASET)
    card = b"---\nextra_gated_prompt: Be kind.\nlicense: mit\ndataset_info: {}\n---\n# Soon\n"
    api.upload_file(**OF_DATASET, path_or_fileobj=card, path_in_repo="README.md")
    data = metadata(send(server, folders["model-a"]).card)
    assert data["extra_gated_prompt"] == "Be kind." and data["license"] == "other"
    assert "dataset_info" not in data
    assert not send(server, folders["model-a"]).files


def test_croissant_names_what_the_format_requires(
    server: HubServer, folders: dict[str, Path], tmp_path: Path
) -> None:
    send(server, folders["model-a"])
    send(server, folders["model-b"])
    found = json.loads(remote(server, "croissant.json", tmp_path))
    for name in ("@context", "@type", "conformsTo", "name", "description", "license", "url"):
        assert found[name], name
    assert found["creator"]["name"] == "expclip" and len(found["datePublished"]) == 10
    ids = {entry["@id"] for entry in found["distribution"]}
    assert ids == {"repository", "files-model-a", "files-model-b"}
    assert [records["@id"] for records in found["recordSet"]] == ["model-a", "model-b"]
    schema = pq.read_schema(next((folders["model-a"] / "data/model-a").iterdir()))
    for records in found["recordSet"]:
        columns = [field["source"]["extract"]["column"] for field in records["field"]]
        assert columns == schema.names
        assert {field["source"]["fileSet"]["@id"] for field in records["field"]} <= ids
