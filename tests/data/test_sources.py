"""Public data sets: from a folder on disk, from the network, checked."""

import hashlib

import pytest

from rnn_cookbook.data.sources import data_folder, download, load_tfds
from rnn_cookbook.errors import InputError


def test_a_data_set_that_is_neither_on_disk_nor_to_be_had(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def offline(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(
        InputError,
        match=f"'imdb_reviews' is not in {tmp_path}.*no route to host.*the data .sample.*"
        "a data folder that holds it",
    ):
        load_tfds("imdb_reviews", splits=["train"], data_dir=tmp_path)


def test_the_real_reviews_are_read_from_disk(data_dir):
    (rows,) = load_tfds("imdb_reviews", splits=["test[:200]"], data_dir=data_dir)
    assert len(rows) == 200
    assert set(rows[0]) == {"text", "label"}


def test_data_folder_comes_from_option_then_environment(monkeypatch):
    monkeypatch.setenv("RNN_COOKBOOK_DATA", "/somewhere")
    assert str(data_folder("")) == "/somewhere"
    assert str(data_folder("/else")) == "/else"


class TestDownload:
    """By a file URL: the code that a web address goes through."""

    CONTENT = b"date,a\n2024-01-01,1\n"

    @pytest.fixture
    def origin(self, tmp_path):
        (tmp_path / "origin.csv").write_bytes(self.CONTENT)
        return {
            "url": (tmp_path / "origin.csv").as_uri(),
            "sha256": hashlib.sha256(self.CONTENT).hexdigest(),
        }

    def test_comes_once_and_is_checked(self, tmp_path, origin):
        path = download("set/a.csv", **origin, data_dir=tmp_path / "data")
        assert path == tmp_path / "data/set/a.csv"
        assert path.read_bytes() == self.CONTENT
        (tmp_path / "origin.csv").unlink()
        assert download("set/a.csv", **origin, data_dir=tmp_path / "data") == path
        assert [file.name for file in path.parent.iterdir()] == ["a.csv"]
        path.write_bytes(b"mine")
        with pytest.raises(InputError, match=r"is not the file of file:.* SHA-256"):
            download("set/a.csv", **origin, data_dir=tmp_path / "data")
        assert path.read_bytes() == b"mine"

    def test_a_wrong_or_missing_file_leaves_nothing(self, tmp_path, origin):
        with pytest.raises(InputError, match=r"could not be downloaded .*the data .sample"):
            download("set/a.csv", url=origin["url"], sha256="0" * 64, data_dir=tmp_path / "data")
        with pytest.raises(InputError, match="could not be downloaded"):
            download(
                "set/a.csv",
                url=origin["url"] + ".none",
                sha256="0" * 64,
                data_dir=tmp_path / "data",
            )
        assert list((tmp_path / "data/set").iterdir()) == []
